"""Replace small files whole and durably, and let one process at a time do what only one may."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from driftgate.features.errors import StoreBusy

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def replace_file(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Replace `path` so that readers, even after a loss of power, have the old or the new; raises OSError."""
    unfinished = path.with_name(f".{path.name}.unfinished")
    unfinished.unlink(missing_ok=True)
    with open(os.open(unfinished, _NEW, mode), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.rename(unfinished, path)
    sync_directory(path.parent)


def boot_id() -> str:
    """Name this start of the machine: what was not on the disk before it is gone."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return ""


def sync_directory(path: Path) -> None:
    """Wait until the disk has the entries of a directory."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def only_one(path: Path, what: str) -> Iterator[None]:
    """Hold the lock file `path` inside; raise StoreBusy, naming `what` is under way, if another has it."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreBusy(f"{what} is under way in another process; try again when it has ended") from None
        yield
    finally:
        os.close(descriptor)
