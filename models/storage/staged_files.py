"""Write files below a directory that others can write to: plain files only, and no links at any step."""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO

from driftgate.models.errors import RegistryError, RegistryFull, UnsafeFile
from driftgate.models.storage.files import open_below, open_directory

_EXTEND = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def written_below() -> Iterator[None]:
    """Turn what the file system refuses into RegistryFull or RegistryError, without a path."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise RegistryFull(f"the registry cannot take the version: {error.strerror}") from error
        raise RegistryError(f"the registry cannot be written: {error.strerror}") from error


@contextmanager
def made_below(directory: int, name: str) -> Iterator[int]:
    """Yield a descriptor of the directory `name` below another one, made if it is not there."""
    with suppress(FileExistsError):
        os.mkdir(name, 0o755, dir_fd=directory)
    with open_directory(name, below=directory) as made:
        yield made


def size_below(directory: int, path: str) -> int:
    """Return the size of the plain file at `path`, 0 if there is none; raise UnsafeFile for anything else."""
    try:
        with open_below(directory, path) as file:
            return os.fstat(file.fileno()).st_size
    except FileNotFoundError:
        return 0


def extend_below(directory: int, path: str, offset: int, data: bytes) -> None:
    """Make `data` the end of the plain file at `path`, from `offset` on; what lay behind that is cut off.

    A write that fails leaves the first `offset` bytes. Directories on the way are made.
    """
    first, _, rest = path.partition("/")
    if rest:
        with made_below(directory, first) as inner:
            extend_below(inner, rest, offset, data)
        return
    with open(_opened(directory, first), "wb", buffering=0) as file:
        os.ftruncate(file.fileno(), offset)
        file.seek(offset)
        try:
            _write_all(file, data)
        except OSError:
            os.ftruncate(file.fileno(), offset)
            raise


def _opened(directory: int, name: str) -> int:
    try:
        descriptor = os.open(name, _EXTEND, 0o644, dir_fd=directory)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO, errno.EISDIR):
            raise UnsafeFile(f"{name!r} is a link or no plain file; nothing is written there") from error
        raise
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
        os.close(descriptor)
        raise UnsafeFile(f"{name!r} is a link or no plain file; nothing is written there")
    return descriptor


def _write_all(file: BinaryIO, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) :]
