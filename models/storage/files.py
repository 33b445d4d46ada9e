"""Open files of a directory that others can write to: nothing but plain files, and no links at any step.

What is not there or may not be read raises OSError; what must not be read raises UnsafeFile.
"""

import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

from driftgate.models.errors import UnsafeFile
from driftgate.models.schema.manifest import FileEntry
from driftgate.models.storage.durable import NEW

CHUNK_BYTES = 2**20
_SAFE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Identity(NamedTuple):
    """What changes when a file is written again or replaced; times are in nanoseconds."""

    modified_ns: int
    changed_ns: int
    inode: int
    size_bytes: int

    @classmethod
    def of(cls, status: os.stat_result) -> "Identity":
        """Return the identity of the file with this status."""
        return cls(status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_size)


def identity_below(directory: int, path: str) -> Identity:
    """Return the identity of what is at `path` below a directory's descriptor, a link's own for a link."""
    return Identity.of(os.stat(path, dir_fd=directory, follow_symlinks=False))


@contextmanager
def open_directory(path: Path | str, below: int | None = None) -> Iterator[int]:
    """Yield a descriptor of a directory; one `below` another descriptor must not be a link."""
    guard = 0 if below is None else os.O_NOFOLLOW
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | guard, dir_fd=below)
    except OSError as error:
        if below is not None and error.errno in (errno.ELOOP, errno.ENOTDIR):
            raise UnsafeFile(f"{os.fspath(path)!r} is not a directory; links are not followed") from error
        raise
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def open_below(directory: int, path: str) -> Iterator[BinaryIO]:
    """Yield the plain file at `path` below a directory's descriptor, for reading."""
    first, _, rest = path.partition("/")
    if first in ("", ".", "..") or "\0" in path:
        raise UnsafeFile(f"{path!r} is not a plain path below the directory")
    if rest:
        with open_directory(first, below=directory) as inner, open_below(inner, rest) as file:
            yield file
        return
    try:
        descriptor = os.open(first, _SAFE, dir_fd=directory)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO, errno.ENODEV):
            raise UnsafeFile(f"{path!r} is a link or a device; only plain files are read") from error
        raise
    try:
        _check_plain(path, os.fstat(descriptor))
    except UnsafeFile:
        os.close(descriptor)
        raise
    with open(descriptor, "rb", buffering=0) as file:
        yield file


def _check_plain(path: str, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise UnsafeFile(f"{path!r} is not a plain file; directories, FIFOs and devices are not read")
    if status.st_nlink != 1:
        raise UnsafeFile(f"{path!r} is a hard link, so it could be changed elsewhere; publish a copy of it")


def read_below(directory: int, path: str, limit_bytes: int) -> bytes:
    """Return the content of the plain file at `path`; raise UnsafeFile if it has more than `limit_bytes`."""
    with open_below(directory, path) as file:
        data = bytearray()
        while chunk := file.read(min(CHUNK_BYTES, limit_bytes + 1 - len(data))):
            data += chunk
    if len(data) > limit_bytes:
        raise UnsafeFile(f"{path!r} is larger than the limit of {limit_bytes} bytes")
    return bytes(data)


def copy_below(directory: int, path: str, target: Path | None, limit_bytes: int) -> FileEntry:
    """Copy the plain file at `path` to the new file `target` (None: read only); return what was read.

    Raises UnsafeFile beyond `limit_bytes`; `target` is then half-written.
    """
    with open_below(directory, path) as source:
        if target is None:
            return _copy(source, None, path, limit_bytes)
        with open(os.open(target, NEW, 0o600), "wb") as copy:
            entry = _copy(source, copy, path, limit_bytes)
            copy.flush()
            os.fsync(copy.fileno())
            return entry


def copy_checked(directory: int, entry: FileEntry, target: Path | None) -> None:
    """Copy as `copy_below` does; raise UnsafeFile unless the file is what `entry` says."""
    try:
        found = copy_below(directory, entry.path, target, entry.size_bytes)
    except FileNotFoundError as error:
        raise UnsafeFile(f"{entry.path!r} is missing, though the manifest lists it") from error
    if found.size_bytes != entry.size_bytes:
        raise UnsafeFile(
            f"{entry.path!r} has {found.size_bytes} bytes where the manifest says {entry.size_bytes}: "
            "it is damaged or still being copied"
        )
    if found.sha256 != entry.sha256:
        raise UnsafeFile(f"{entry.path!r} is damaged: its SHA-256 is not the one in the manifest")


def _copy(source: BinaryIO, copy: BinaryIO | None, path: str, limit_bytes: int) -> FileEntry:
    digest, size = hashlib.sha256(), 0
    while chunk := source.read(CHUNK_BYTES):
        size += len(chunk)
        if size > limit_bytes:
            raise UnsafeFile(f"{path!r} has more than the {limit_bytes} bytes that it may have")
        digest.update(chunk)
        if copy:
            copy.write(chunk)
    return FileEntry(path, size, digest.hexdigest())
