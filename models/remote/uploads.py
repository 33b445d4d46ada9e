"""Versions that arrive part by part: gathered in hidden directories of the registry, checked, then placed.

All that is known of an upload lies on the disk, in `<model>/.staging-<id>/`: the manifest that began it and
as much of each file as has arrived. So it goes on after a crash of either side, and what nobody finishes is
swept. For one process; an upload is for one caller at a time.
"""

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from driftgate.models.errors import (
    InvalidManifest,
    RegistryFull,
    RegistryUnavailable,
    TooManyUploads,
    UnsafeFile,
    UploadConflict,
    UploadTooLarge,
    UploadUnknown,
    VersionExists,
)
from driftgate.models.registry.settings import DEFAULT_SETTINGS, SETTINGS_FILE
from driftgate.models.remote.upload_types import (
    NEXT_NUMBER,
    PART_BYTES,
    FileProgress,
    PlacedVersion,
    UploadProgress,
)
from driftgate.models.remote.uploaded_manifest import UploadLimits, upload_id, uploaded_manifest
from driftgate.models.schema.manifest import (
    MANIFEST_FILE,
    MAX_MANIFEST_BYTES,
    FileEntry,
    Manifest,
    digest_of,
)
from driftgate.models.schema.names import check_model_name
from driftgate.models.storage.durable import write_whole
from driftgate.models.storage.files import CHUNK_BYTES, copy_checked, open_below, open_directory, read_below
from driftgate.models.storage.staged_files import extend_below, made_below, size_below, written_below
from driftgate.models.storage.transfer import is_digest
from driftgate.models.storage.version_writer import already_there, place_version, temporary_version, write_new

STAGING_PREFIX = ".staging-"
_SPARE_BYTES = 2**20


@dataclass(frozen=True)
class _Hashed:
    """The hash of the first `size_bytes` of file `number`."""

    number: int
    size_bytes: int
    sha256: Any


@dataclass(frozen=True)
class _Upload:
    """One upload as it lies on the disk: a descriptor of its directory, and its manifest."""

    directory: int
    manifest: Manifest
    manifest_bytes: bytes


class Uploads:
    """The open uploads of one registry."""

    def __init__(self, registry: Path, limits: UploadLimits) -> None:
        self._registry = registry
        self._limits = limits
        self._hashed: dict[str, _Hashed] = {}

    def manifest_of(self, model: str, manifest_bytes: bytes) -> Manifest:
        """Return the manifest that is to begin or resume an upload; raise as `begin` does."""
        return uploaded_manifest(manifest_bytes, check_model_name(model), self._limits)

    def begin(self, model: str, manifest_bytes: bytes, now: float) -> UploadProgress:
        """Begin an upload, or resume it, and tell what is missing; `now` is in seconds since 1970.

        Where the same content is there already no upload is opened. Raises InvalidManifest, VersionExists,
        UploadTooLarge, TooManyUploads, RegistryFull, or RegistryUnavailable.
        """
        manifest = self.manifest_of(model, manifest_bytes)
        self.sweep(now)
        with written_below(), self._root():
            placed = self._placed_before(manifest)
            if placed is not None:
                return UploadProgress("", (), PART_BYTES, placed)
            upload = upload_id(manifest)
            staging = self._staging(model, upload)
            if not staging.is_dir():
                self._check_room(manifest)
            with self._directory(model, upload) as directory:
                write_whole(staging / MANIFEST_FILE, manifest_bytes)
                (staging / MANIFEST_FILE).chmod(0o644)
                for entry in manifest.files:
                    if not entry.size_bytes:
                        extend_below(directory, entry.path, 0, b"")
                return UploadProgress(upload, _progress(directory, manifest), PART_BYTES)

    def extend(self, model: str, upload: str, number: int, offset: int, data: bytes) -> FileProgress:
        """Append a part to file `number`, hashing it on the way, and tell how much of the file is there.

        A file that is not what the manifest promises ends the upload: UnsafeFile, or UploadTooLarge if it is
        longer. Also raises UploadUnknown, UploadConflict (the part is not the next one) and RegistryFull.
        """
        with written_below(), self._opened(model, upload) as found:
            before = _file_progress(found.directory, _entry(found.manifest, number))
            after = msgspec.structs.replace(before, received_bytes=offset + len(data))
            if offset != before.received_bytes:
                raise UploadConflict(
                    f"{before.path!r} has {before.received_bytes} bytes; a part at {offset} is not the next"
                )
            if after.received_bytes > after.size_bytes:
                self.drop(model, upload)
                raise UploadTooLarge(f"{after.path!r} has more than the {after.size_bytes} bytes it may have")
            sha256 = self._hash_so_far(found.directory, upload, number, before)
            extend_below(found.directory, before.path, offset, data)
            sha256.update(data)
            self._hashed[upload] = _Hashed(number, after.received_bytes, sha256)
            os.utime(found.directory)
            if _complete(after) and sha256.hexdigest() != found.manifest.files[number].sha256:
                self.drop(model, upload)
                raise UnsafeFile(f"{after.path!r} is not what its SHA-256 in the manifest promises")
            return after

    def commit(self, model: str, upload: str) -> PlacedVersion:
        """Check every file once more and make the upload a version; return its number and digest.

        Raises UploadUnknown, UploadConflict where something is missing, and, after which the upload is gone,
        UnsafeFile (a file is not what the manifest says) or VersionExists.
        """
        with written_below(), self._opened(model, upload) as found:
            missing = [one for one in _progress(found.directory, found.manifest) if not _complete(one)]
            if missing:
                raise UploadConflict(
                    f"{missing[0].path!r} has {missing[0].received_bytes} of {missing[0].size_bytes} bytes; "
                    f"{len(missing)} of {len(found.manifest.files)} files are not complete"
                )
            try:
                for entry in found.manifest.files:
                    copy_checked(found.directory, entry, None)
                return self._place(found, upload)
            except (UnsafeFile, VersionExists):
                self.drop(model, upload)
                raise

    def drop(self, model: str, upload: str) -> None:
        """Give an upload up: nothing is left of it, nor of a model that has nothing else."""
        self._hashed.pop(upload, None)
        shutil.rmtree(self._staging(model, upload), ignore_errors=True)
        with suppress(OSError):
            (self._registry / model).rmdir()

    def sweep(self, now: float) -> None:
        """Give up every upload that nobody has touched for as long as the limits say."""
        for path in self._open():
            with suppress(FileNotFoundError):
                if path.stat(follow_symlinks=False).st_mtime < now - self._limits.keep_s:
                    self.drop(path.parent.name, path.name.removeprefix(STAGING_PREFIX))

    def _place(self, found: _Upload, upload: str) -> PlacedVersion:
        manifest, staging = found.manifest, self._staging(found.manifest.name, upload)
        if manifest.version == NEXT_NUMBER:
            placed, created = place_version(
                staging, lambda number: msgspec.structs.replace(manifest, version=number), None
            )
        else:  # a number of its own keeps the manifest to the byte, and with it the digest
            placed, created = place_version(
                staging, lambda number: manifest, manifest.version, lambda same: found.manifest_bytes
            )
        self.drop(manifest.name, upload)
        # The version is there already; settings for people to edit are a courtesy.
        with suppress(OSError), temporary_version(staging.parent) as temporary:
            write_new(staging.parent / SETTINGS_FILE, DEFAULT_SETTINGS, temporary)
        return self._placed(placed, created)

    def _placed_before(self, manifest: Manifest) -> PlacedVersion | None:
        directory = self._registry / manifest.name
        if not directory.is_dir():
            return None
        same = already_there(directory, manifest, manifest.version or None)
        return self._placed(same, created=False) if same else None

    def _placed(self, manifest: Manifest, created: bool) -> PlacedVersion:
        path = self._registry / manifest.name / str(manifest.version) / MANIFEST_FILE
        return PlacedVersion(manifest.name, manifest.version, digest_of(path.read_bytes()), created)

    def _check_room(self, manifest: Manifest) -> None:
        if len(self._open()) >= self._limits.max_open:
            raise TooManyUploads(
                f"{self._limits.max_open} uploads are open, which is uploads.max_open; try again later"
            )
        free = shutil.disk_usage(self._registry).free
        if manifest.size_bytes + _SPARE_BYTES > free:
            raise RegistryFull(
                f"the registry cannot take the version: it has {manifest.size_bytes} bytes, {free} are free"
            )

    def _open(self) -> list[Path]:
        found = self._registry.glob(f"*/{STAGING_PREFIX}*")
        return [path for path in found if not path.parent.is_symlink()]

    def _staging(self, model: str, upload: str) -> Path:
        return self._registry / model / f"{STAGING_PREFIX}{upload}"

    @contextmanager
    def _directory(self, model: str, upload: str) -> Iterator[int]:
        with (
            self._root() as root,
            made_below(root, model) as directory,
            made_below(directory, f"{STAGING_PREFIX}{upload}") as staging,
        ):
            yield staging

    @contextmanager
    def _root(self) -> Iterator[int]:
        """Open the registry, never make it: an empty one in place of one that is away unloads everything."""
        with ExitStack() as stack:
            try:
                root = stack.enter_context(open_directory(self._registry))
            except OSError as error:
                raise RegistryUnavailable(f"the registry cannot be read: {error.strerror}") from error
            yield root

    @contextmanager
    def _opened(self, model: str, upload: str) -> Iterator[_Upload]:
        """Open an upload that was begun; raise UploadUnknown if it is not there as it was begun."""
        unknown = UploadUnknown("no such upload is open: it has ended, or was never begun; begin it again")
        check_model_name(model)
        with self._root() as root, ExitStack() as stack:
            try:
                directory = stack.enter_context(open_directory(model, below=root))
                name = f"{STAGING_PREFIX}{upload}" if is_digest(upload) else STAGING_PREFIX
                staging = stack.enter_context(open_directory(name, below=directory))
                data = read_below(staging, MANIFEST_FILE, MAX_MANIFEST_BYTES)
                manifest = uploaded_manifest(data, model, self._limits)
            except (FileNotFoundError, InvalidManifest) as error:
                raise unknown from error
            if upload_id(manifest) != upload:  # a crash came between numbering and placing
                raise unknown
            yield _Upload(staging, manifest, data)

    def _hash_so_far(self, directory: int, upload: str, number: int, part: FileProgress) -> Any:
        """Return the running hash of a file, read anew where this process did not write its beginning."""
        known = self._hashed.get(upload)
        if known and (known.number, known.size_bytes) == (number, part.received_bytes):
            return known.sha256
        sha256 = hashlib.sha256()
        if part.received_bytes:
            with open_below(directory, part.path) as file:
                while chunk := file.read(CHUNK_BYTES):
                    sha256.update(chunk)
        return sha256


def _entry(manifest: Manifest, number: int) -> FileEntry:
    if 0 <= number < len(manifest.files):
        return manifest.files[number]
    raise UploadUnknown(f"the version has no file {number}: it has {len(manifest.files)}, counted from 0")


def _progress(directory: int, manifest: Manifest) -> tuple[FileProgress, ...]:
    return tuple(_file_progress(directory, entry) for entry in manifest.files)


def _file_progress(directory: int, entry: FileEntry) -> FileProgress:
    return FileProgress(entry.path, entry.size_bytes, size_below(directory, entry.path))


def _complete(progress: FileProgress) -> bool:
    return progress.received_bytes == progress.size_bytes
