"""Reading from a directory that others write to."""

import hashlib
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from driftgate.models.errors import UnsafeFile
from driftgate.models.schema.manifest import FileEntry
from driftgate.models.storage.files import copy_checked, open_directory, read_below


def entry_of(path: str, content: bytes) -> FileEntry:
    """Return what a manifest says of a file with this content."""
    return FileEntry(path, len(content), hashlib.sha256(content).hexdigest())


def make_link(path: Path) -> None:
    """Put a symbolic link to a real file."""
    path.with_name("real").write_bytes(b"abc")
    path.symlink_to("real")


def make_hard_link(path: Path) -> None:
    """Put a second name of a real file."""
    path.with_name("real").write_bytes(b"abc")
    os.link(path.with_name("real"), path)


def make_socket(path: Path) -> None:
    """Put a listening socket."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))


def make_device(path: Path) -> None:
    """Put the device that is an endless file of zeros."""
    try:
        os.mknod(path, 0o020666, os.makedev(1, 5))
    except PermissionError:
        pytest.skip("making a device needs root")


@pytest.mark.parametrize("make", [make_link, make_hard_link, os.mkfifo, os.mkdir, make_socket, make_device])
def test_only_plain_files(tmp_path: Path, make: Callable[[Path], None]) -> None:
    """A link, FIFO, directory, socket or device is refused at once, without waiting for it."""
    make(tmp_path / "file")
    with open_directory(tmp_path) as directory, pytest.raises(UnsafeFile):
        read_below(directory, "file", 100)


def test_no_link_on_the_way(tmp_path: Path) -> None:
    """A directory on the way that is a link is not followed."""
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "file").write_bytes(b"abc")
    (tmp_path / "link").symlink_to("real")
    with open_directory(tmp_path) as directory:
        assert read_below(directory, "real/file", 100) == b"abc"
        with pytest.raises(UnsafeFile):
            read_below(directory, "link/file", 100)


@pytest.mark.parametrize("path", ["", "/etc/passwd", "../outside", "a/../../outside", ".", "a//b", "a\0b"])
def test_no_way_out(tmp_path: Path, path: str) -> None:
    """A path that is not plain and relative is refused."""
    (tmp_path / "outside").write_bytes(b"abc")
    (tmp_path / "inside" / "a").mkdir(parents=True)
    with open_directory(tmp_path / "inside") as directory, pytest.raises(UnsafeFile):
        read_below(directory, path, 100)


def test_bounded(tmp_path: Path) -> None:
    """A file of exactly the limit is read; one byte more is refused."""
    (tmp_path / "file").write_bytes(b"abcd")
    with open_directory(tmp_path) as directory:
        assert read_below(directory, "file", 4) == b"abcd"
        with pytest.raises(UnsafeFile, match="larger than the limit of 3 bytes"):
            read_below(directory, "file", 3)


def test_copy_is_exact(tmp_path: Path) -> None:
    """A file that is what the manifest says arrives whole and private."""
    content = os.urandom(3 * 2**20 + 1)
    (tmp_path / "file").write_bytes(content)
    with open_directory(tmp_path) as directory:
        copy_checked(directory, entry_of("file", content), tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == content
    assert (tmp_path / "copy").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("content", "complaint"),
    [(b"abd", "damaged"), (b"ab", "2 bytes where the manifest says 3"), (b"abcd", "more than the 3 bytes")],
)
def test_copy_is_checked(tmp_path: Path, content: bytes, complaint: str) -> None:
    """Other bytes, fewer or more than the manifest says are refused, with the reason."""
    (tmp_path / "file").write_bytes(content)
    with open_directory(tmp_path) as directory, pytest.raises(UnsafeFile, match=complaint):
        copy_checked(directory, entry_of("file", b"abc"), tmp_path / "copy")


def test_missing_file_is_named(tmp_path: Path) -> None:
    """A file that the manifest lists and that is not there is named."""
    with open_directory(tmp_path) as directory, pytest.raises(UnsafeFile, match=r"'gone\.bin' is missing"):
        copy_checked(directory, entry_of("gone.bin", b"abc"), None)
