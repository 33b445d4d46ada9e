"""A version directory appears whole or not at all: written under a hidden name, synced, then renamed.

A published version never changes, and no two publishers get one number: the rename fails where the number is
taken. A publisher that dies leaves only a hidden directory, which a later one clears away.
"""

import errno
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from driftgate.models.errors import InvalidManifest, VersionExists
from driftgate.models.schema.manifest import (
    MANIFEST_FILE,
    MAX_MANIFEST_BYTES,
    FileEntry,
    Manifest,
    content_digest,
    decode_manifest,
    encode_manifest,
)
from driftgate.models.schema.names import VERSION, parse_version
from driftgate.models.storage.durable import sync, write_synced

TEMPORARY_PREFIX = ".tmp-"
STALE_AFTER_S = 24 * 3600.0
"""A publisher that works on one version for longer than this is taken for dead."""

_TAKEN = (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR)


@contextmanager
def temporary_version(model_directory: Path) -> Iterator[Path]:
    """Give a hidden directory beside the versions; whatever is still in it at the end is removed."""
    temporary = _make_temporary(model_directory)
    clear_stale(model_directory, time.time() - STALE_AFTER_S)
    try:
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        with suppress(OSError):
            model_directory.rmdir()  # a model whose first version was refused leaves nothing


def place_version(
    temporary: Path,
    manifest_of: Callable[[int], Manifest],
    version: int | None,
    encode: Callable[[Manifest], bytes] = encode_manifest,
) -> tuple[Manifest, bool]:
    """Make `temporary` the version `version`, or the next number; return its manifest and if it is new.

    The same content under that number (or, without one, as the newest version) is left as it is. `encode`
    gives the bytes of the manifest. Raises VersionExists where the number holds anything else.
    """
    model_directory = temporary.parent
    _sync_tree(temporary)
    while True:
        newest = max(numbers(model_directory), default=0)
        manifest = manifest_of(parse_version(str(version or newest + 1)))
        same = already_there(model_directory, manifest, version)
        if same is not None:
            return same, False
        write_synced(temporary / MANIFEST_FILE, encode(manifest))
        sync(temporary)
        if _renamed(temporary, model_directory / str(manifest.version)):
            sync(model_directory)
            sync(model_directory.parent)
            return manifest, True


def already_there(model_directory: Path, manifest: Manifest, version: int | None) -> Manifest | None:
    """Return the manifest of the version with this content, if it is `version` (None: the newest one).

    Raises VersionExists where the number `version` holds anything else.
    """
    taken = numbers(model_directory)
    same = _same_content(model_directory / str(version or max(taken, default=0)), manifest)
    if same is None and version in taken:
        raise VersionExists(_taken(manifest))
    return same


def write_new(path: Path, data: bytes, temporary: Path) -> None:
    """Create `path` with `data` whole, unless it exists or the file system knows no hard links.

    `temporary` is a directory on the same file system.
    """
    draft = temporary / f".{path.name}"
    write_synced(draft, data)
    with suppress(OSError):
        os.link(draft, path)
    draft.unlink()


def numbers(model_directory: Path) -> frozenset[int]:
    """Return every version number that is taken, by whatever is there."""
    return frozenset(int(name) for name in os.listdir(model_directory) if VERSION.fullmatch(name))


def file_entries(directory: Path) -> tuple[FileEntry, ...]:
    """Return path, size and SHA-256 of every file below `directory` but the manifest, by path."""
    found = (path for path in directory.rglob("*") if path.is_file() and path != directory / MANIFEST_FILE)
    return tuple(sorted((_entry(path, directory) for path in found), key=lambda entry: entry.path))


def clear_stale(model_directory: Path, before: float) -> None:
    """Remove hidden directories that no publisher has touched since `before` (seconds since 1970)."""
    for path in model_directory.glob(f"{TEMPORARY_PREFIX}*"):
        try:
            if path.stat().st_mtime < before:
                shutil.rmtree(path, ignore_errors=True)
        except FileNotFoundError:
            continue  # its publisher finished meanwhile


def _make_temporary(model_directory: Path) -> Path:
    while True:
        model_directory.mkdir(parents=True, exist_ok=True)
        try:
            temporary = Path(tempfile.mkdtemp(prefix=TEMPORARY_PREFIX, dir=model_directory))
        except FileNotFoundError:
            continue  # a publisher whose version was refused has just removed the empty directory
        temporary.chmod(0o755)
        return temporary


def _same_content(directory: Path, manifest: Manifest) -> Manifest | None:
    """Return the manifest of `directory` if it is complete, undamaged and of the same content."""
    try:
        with (directory / MANIFEST_FILE).open("rb") as file:
            existing = decode_manifest(file.read(MAX_MANIFEST_BYTES))
        if content_digest(existing) != content_digest(manifest):
            return None
        return existing if set(existing.files) <= set(file_entries(directory)) else None
    except (OSError, InvalidManifest):
        return None


def _taken(manifest: Manifest) -> str:
    return (
        f"{manifest.name} version {manifest.version} already exists with other content, and a published "
        "version never changes; leave the version out to publish under the next number"
    )


def _renamed(temporary: Path, target: Path) -> bool:
    """Rename without replacing; False where another publisher took the number first."""
    try:
        temporary.rename(target)
    except OSError as error:
        if error.errno in _TAKEN:
            return False
        raise
    return True


def _entry(path: Path, directory: Path) -> FileEntry:
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return FileEntry(path.relative_to(directory).as_posix(), path.stat().st_size, sha256)


def _sync_tree(directory: Path) -> None:
    for path in directory.rglob("*"):
        sync(path)
