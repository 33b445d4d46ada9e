"""Write files so that a reader, or a machine that lost power, has all of one or nothing."""

import os
from pathlib import Path

NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def write_whole(path: Path, data: bytes, durable: bool = False) -> None:
    """Replace `path` by `data` so that a reader sees the old or the new content, never a part.

    For the one writer of a file, which its owner alone may read. `durable` waits until the disk has it.
    """
    unfinished = path.with_name(f".{path.name}.unfinished")
    unfinished.unlink(missing_ok=True)
    try:
        with open(os.open(unfinished, NEW, 0o600), "wb") as file:
            file.write(data)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        os.rename(unfinished, path)
    except OSError:
        unfinished.unlink(missing_ok=True)
        raise
    if durable:
        sync(path.parent)


def write_synced(path: Path, data: bytes) -> None:
    """Write a file in place and wait until the disk has it; it appears under its name by what follows."""
    with open(path, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def sync(path: Path) -> None:
    """Wait until the disk has a file's content, or a directory's entries."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
