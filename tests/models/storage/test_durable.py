"""Files that appear whole or not at all."""

import os
import stat
from pathlib import Path

import pytest

from driftgate.models.storage.durable import write_synced, write_whole


def test_write_whole_replaces(tmp_path: Path) -> None:
    """Writing replaces the content and leaves nothing else behind."""
    write_whole(tmp_path / "file", b"old")
    write_whole(tmp_path / "file", b"new", durable=True)
    assert (tmp_path / "file").read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["file"]


def test_failed_write_leaves_the_old(tmp_path: Path) -> None:
    """A write that fails (here: the target is a directory) leaves what was there, and no temporary file."""
    (tmp_path / "target").mkdir()
    with pytest.raises(IsADirectoryError):
        write_whole(tmp_path / "target", b"new")
    assert os.listdir(tmp_path) == ["target"]


def test_what_is_ours_is_nobody_elses(tmp_path: Path) -> None:
    """A replaced file can be read by its owner alone, whatever a killed writer left beside it."""
    (tmp_path / ".file.unfinished").write_bytes(b"half")
    write_whole(tmp_path / "file", b"new")
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == ["file"]


def test_what_follows_may_be_linked_or_renamed(tmp_path: Path) -> None:
    """A synced file has all of its content when the call returns."""
    write_synced(tmp_path / "file", b"content")
    os.link(tmp_path / "file", tmp_path / "1.json")
    assert (tmp_path / "1.json").read_bytes() == b"content"
