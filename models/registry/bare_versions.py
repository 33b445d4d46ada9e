"""Versions without a manifest: a manifest is made on the fly from a plain `<version>/model.onnx`."""

import os
import tempfile
from pathlib import Path

from driftgate.models.errors import ModelError, RegistryError
from driftgate.models.registry.snapshot import PublishedVersion
from driftgate.models.run.probation import BareFacts, ProbationLimits, examine_bare
from driftgate.models.schema.bare import bare_columns
from driftgate.models.schema.manifest import (
    FORMAT,
    MODEL_FILE,
    FileEntry,
    Manifest,
    Provenance,
    check_consistent,
    digest_of,
    encode_manifest,
)
from driftgate.models.storage.files import Identity, copy_below, identity_below, open_directory
from driftgate.models.storage.remembered import Remembered

MAX_BARE_BYTES = 64 * 2**30
WARNINGS = (
    "no manifest: columns have no names, units or categories of their own: monitoring says f0, f1 and so on",
    "no golden examples: a damaged model file that still loads is not noticed",
    "no task: what the outputs mean is unknown, so performance is not measured",
    "no reference profile: drift is measured against the model's own first traffic",
)

_LIMITS = ProbationLimits()
_Identities = tuple[tuple[str, Identity], ...]


class BareVersions:
    """What was found out about bare versions, kept until their files change."""

    def __init__(self) -> None:
        self._known: Remembered[PublishedVersion | str] = Remembered()

    def forget_unused(self) -> None:
        """Drop what was not looked at since the last call."""
        self._known.forget_unused()

    def look(self, model_directory: int, model: str, version: int) -> PublishedVersion | str | None:
        """Return the version, why it cannot be one, or None if there is none or it is still being copied."""
        try:
            with open_directory(str(version), below=model_directory) as directory:
                return self._look(directory, model, version)
        except FileNotFoundError:
            return None
        except OSError as error:
            return f"cannot be examined: {error.strerror}"
        except ModelError as error:
            return str(error)

    def _look(self, directory: int, model: str, version: int) -> PublishedVersion | str | None:
        before = _identities(directory)
        if MODEL_FILE not in dict(before):
            return None
        known = self._known.get((model, version), before)
        if known is not None:
            return known
        found = _examine(directory, before, model, version)
        if _identities(directory) != before:
            return None
        return self._known.keep((model, version), before, found)


def _identities(directory: int) -> _Identities:
    found = []
    for name in sorted(os.listdir(directory)):
        if not name.startswith("."):
            found.append((name, identity_below(directory, name)))
    return tuple(found)


def _examine(directory: int, files: _Identities, model: str, version: int) -> PublishedVersion | str:
    try:
        with tempfile.TemporaryDirectory(prefix="driftgate-") as scratch:
            entries = tuple(
                copy_below(directory, name, Path(scratch, name), MAX_BARE_BYTES) for name, _ in files
            )
            manifest = bare_manifest(model, version, entries, examine_bare(Path(scratch), _LIMITS))
    except OSError as error:
        raise RegistryError(f"cannot be copied to be examined: {error.strerror}") from error
    except ModelError as error:
        return str(error)
    return PublishedVersion(model, version, digest_of(encode_manifest(manifest)), manifest)


def bare_manifest(model: str, version: int, files: tuple[FileEntry, ...], facts: BareFacts) -> Manifest:
    """Return the manifest that files and model alone give; the same ones give the same bytes.

    Raises InvalidManifest if the files cannot make a version.
    """
    manifest = Manifest(
        format=FORMAT,
        name=model,
        version=version,
        signature=facts.signature,
        files=files,
        columns=bare_columns(facts.signature),
        provenance=Provenance(created_at="", source="bare ONNX file"),
        independent_rows=facts.independent_rows,
        warnings=WARNINGS,
    )
    check_consistent(manifest)
    return manifest
