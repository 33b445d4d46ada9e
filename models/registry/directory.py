"""The registry as a directory: `<model>/model.toml` and `<model>/<version>/manifest.json` beside its files.

Reads only, follows no link below its root, and tells what is gone from what cannot be read.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from driftgate.models.errors import (
    InvalidManifest,
    InvalidName,
    InvalidSettings,
    RegistryError,
    RegistryUnavailable,
    UnsafeFile,
)
from driftgate.models.registry.bare_versions import BareVersions
from driftgate.models.registry.settings import (
    MAX_SETTINGS_BYTES,
    SETTINGS_FILE,
    ModelSettings,
    parse_settings,
)
from driftgate.models.registry.snapshot import PublishedVersion, RegistryModel, RegistrySnapshot
from driftgate.models.schema.manifest import (
    MANIFEST_FILE,
    MAX_MANIFEST_BYTES,
    decode_manifest,
    digest_of,
    encode_manifest,
)
from driftgate.models.schema.names import check_model_name, parse_version
from driftgate.models.storage.files import identity_below, open_directory, read_below
from driftgate.models.storage.remembered import Remembered
from driftgate.models.storage.transfer import copy_version

_NOT_MODELS = frozenset({"lost+found", "_features"})
"""What a file system puts into its root by itself, and the declarations of feature views."""


class DirectoryRegistry:
    """A registry on this machine's file system; implements RegistrySource.

    `scan` is for one thread at a time, `fetch` for any. What was read of a file is kept until the file
    changes, so that looking again costs one `stat` for each version. `allow_bare` also serves
    `<model>/<version>/model.onnx` without a manifest.
    """

    def __init__(self, root: Path, allow_bare: bool = False) -> None:
        self.root = root
        self._bare = BareVersions() if allow_bare else None
        self._manifests: Remembered[PublishedVersion | str] = Remembered()
        self._settings: Remembered[ModelSettings | str] = Remembered()

    def scan(self) -> RegistrySnapshot:
        """Return what is there now; raise RegistryUnavailable if the root cannot be listed."""
        models: dict[str, RegistryModel] = {}
        problems: list[str] = []
        try:
            with open_directory(self.root) as root:
                for entry in _entries(root):
                    self._look_at(root, entry, models, problems)
        except OSError as error:
            raise RegistryUnavailable(
                f"the registry cannot be read: {error.strerror}. What is loaded stays loaded."
            ) from error
        for memory in (self._manifests, self._settings, self._bare):
            if memory:
                memory.forget_unused()
        return RegistrySnapshot(models=models, problems=tuple(problems))

    def fetch(self, published: PublishedVersion, target: Path) -> None:
        """Copy the version's files and then its manifest into the new directory `target`, hashing on the way.

        Raises UnsafeFile if a file is not what the manifest says, RegistryError if it cannot be copied.
        """
        try:
            with (
                open_directory(self.root) as root,
                open_directory(published.model, below=root) as model,
                open_directory(str(published.version), below=model) as source,
            ):
                data = self._manifest_bytes(source, published)
                if digest_of(data) != published.digest:
                    self._manifests.forget((published.model, published.version))
                    raise UnsafeFile("manifest.json changed while it was being read; versions are immutable")
                copy_version(source, published.manifest, data, target)
        except OSError as error:
            raise RegistryError(f"the version could not be copied: {error.strerror}") from error

    def _look_at(
        self, root: int, entry: "_Entry", models: dict[str, RegistryModel], problems: list[str]
    ) -> None:
        if entry.kind == "file" or entry.name in _NOT_MODELS:
            return
        try:
            name = check_model_name(entry.name)
        except InvalidName as error:
            problems.append(str(error))
            return
        try:
            with open_directory(name, below=root) as directory:
                models[name] = self._model(directory, name)
        except FileNotFoundError:
            return
        except (OSError, UnsafeFile) as error:
            models[name] = RegistryModel(name, {}, None, {0: _reason(error)}, readable=False)

    def _model(self, directory: int, name: str) -> RegistryModel:
        versions: dict[int, PublishedVersion] = {}
        problems: dict[int, str] = {}
        settings = self._read_settings(directory, name)
        notes = [settings] if isinstance(settings, str) else []
        for entry in _entries(directory):
            try:
                version = parse_version(entry.name)
            except InvalidName as error:
                notes += [str(error)] if entry.kind == "directory" else []
                continue
            found = self._version(directory, name, version, entry)
            if isinstance(found, str):
                problems[version] = found
            elif found:
                versions[version] = found
        if notes:
            problems[0] = "; ".join(notes)
        return RegistryModel(name, versions, None if isinstance(settings, str) else settings, problems)

    def _read_settings(self, directory: int, name: str) -> ModelSettings | str:
        try:
            identity = identity_below(directory, SETTINGS_FILE)
            known = self._settings.get((name, 0), identity)
            return known or self._settings.keep((name, 0), identity, _settings_in(directory))
        except FileNotFoundError:
            return ModelSettings()
        except OSError as error:
            return f"{SETTINGS_FILE} {_reason(error)}"

    def _version(
        self, directory: int, model: str, version: int, entry: "_Entry"
    ) -> PublishedVersion | str | None:
        if entry.kind != "directory":
            return f"{entry.name!r} is not a directory; links are not followed"
        key = (model, version)
        try:
            identity = identity_below(directory, f"{version}/{MANIFEST_FILE}")
            known = self._manifests.get(key, identity)
            return known or self._manifests.keep(key, identity, _version_in(directory, model, version))
        except FileNotFoundError:
            return self._bare.look(directory, model, version) if self._bare else None
        except OSError as error:
            return _reason(error)

    def _manifest_bytes(self, source: int, published: PublishedVersion) -> bytes:
        try:
            return read_below(source, MANIFEST_FILE, MAX_MANIFEST_BYTES)
        except FileNotFoundError:
            if self._bare:
                return encode_manifest(published.manifest)
            raise UnsafeFile("manifest.json is gone: the version was taken away while it was read") from None


class _Entry(NamedTuple):
    name: str
    kind: str


def _entries(directory: int) -> Iterator[_Entry]:
    """Return what is visible in a directory, by name; `kind` is directory, file or other (links too)."""
    with os.scandir(directory) as listing:
        for entry in sorted(listing, key=lambda entry: entry.name):
            if entry.name.startswith("."):
                continue
            if entry.is_dir(follow_symlinks=False):
                yield _Entry(entry.name, "directory")
            else:
                yield _Entry(entry.name, "file" if entry.is_file(follow_symlinks=False) else "other")


def _settings_in(directory: int) -> ModelSettings | str:
    try:
        return parse_settings(read_below(directory, SETTINGS_FILE, MAX_SETTINGS_BYTES).decode())
    except (InvalidSettings, UnsafeFile) as error:
        return str(error)
    except UnicodeDecodeError:
        return f"{SETTINGS_FILE} is not UTF-8 text"


def _version_in(directory: int, model: str, version: int) -> PublishedVersion | str:
    try:
        data = read_below(directory, f"{version}/{MANIFEST_FILE}", MAX_MANIFEST_BYTES)
        manifest = decode_manifest(data)
    except (InvalidManifest, InvalidName, UnsafeFile) as error:
        return str(error)
    if (manifest.name, manifest.version) != (model, version):
        return (
            f"manifest.json is of {manifest.name}/{manifest.version}, but lies in {model}/{version}: "
            "publish it under this name and number"
        )
    return PublishedVersion(model, version, digest_of(data), manifest)


def _reason(error: Exception) -> str:
    return f"cannot be read: {error.strerror}" if isinstance(error, OSError) else str(error)
