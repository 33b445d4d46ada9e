"""Journals: whole lines, one chain across files, torn ends taken back, damage named."""

import os
from pathlib import Path

import pytest

from driftgate.gateway.state.events import Event
from driftgate.gateway.state.journal import (
    DamagedJournal,
    Journal,
    decode_line,
    journal_files,
    read_journal,
    verify_journal,
)


def event(number: int) -> Event:
    return Event(at=f"2026-01-01T00:00:{number:02}.000+00:00", kind="process_ended", who="supervisor")


def write(directory: Path, first: int, last: int, file_bytes: int = 2**20) -> None:
    journal = Journal(directory, "supervisor", file_bytes)
    for number in range(first, last + 1):
        journal.append(event(number))
    journal.close()


def test_events_come_back_newest_first_across_files_and_restarts(tmp_path: Path) -> None:
    """What was appended is read back in the other order, however often the writer began again."""
    write(tmp_path, 1, 5, file_bytes=400)
    write(tmp_path, 6, 9, file_bytes=400)
    assert list(read_journal(tmp_path, "supervisor")) == [event(number) for number in range(9, 0, -1)]
    assert len(journal_files(tmp_path, "supervisor")) > 1
    assert verify_journal(tmp_path, "supervisor") == 9


def test_a_torn_last_line_is_taken_back(tmp_path: Path) -> None:
    """Half a line at the end is skipped by readers, and the next writer goes on from the line before."""
    write(tmp_path, 1, 2)
    with open(journal_files(tmp_path, "supervisor")[-1].path, "ab") as file:
        file.write(b'{"format":1,"numb')
    assert verify_journal(tmp_path, "supervisor") == 2
    write(tmp_path, 3, 3)
    assert verify_journal(tmp_path, "supervisor") == 3


def test_a_file_that_was_begun_and_not_written_continues_the_chain(tmp_path: Path) -> None:
    """A writer killed between beginning a file and its first line leaves the chain whole."""
    write(tmp_path, 1, 2)
    (tmp_path / "supervisor-000000000003.jsonl").touch()
    write(tmp_path, 3, 4)
    assert verify_journal(tmp_path, "supervisor") == 4


def test_the_oldest_files_go_and_the_rest_is_still_a_chain(tmp_path: Path) -> None:
    """Full files are followed by new ones, a bounded number of them is kept, and what is kept verifies."""
    write(tmp_path, 1, 60, file_bytes=1)
    files = journal_files(tmp_path, "supervisor")
    assert len(files) <= 17
    assert files[0].first > 1
    assert verify_journal(tmp_path, "supervisor") == 61 - files[0].first


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"supervisor", b"superviser"),
        (b'"number":2', b'"number":7'),
        (b'"format":1,"number":2', b'"format":2,"number":2'),
        (b"}", b""),
    ],
)
def test_an_altered_line_is_named(tmp_path: Path, old: bytes, new: bytes) -> None:
    """Whatever is changed in a line, verification fails and names the file and a line."""
    write(tmp_path, 1, 3)
    path = journal_files(tmp_path, "supervisor")[0].path
    lines = path.read_bytes().splitlines(keepends=True)
    lines[1] = lines[1].replace(old, new, 1)
    path.write_bytes(b"".join(lines))
    with pytest.raises(DamagedJournal, match=rf"{path.name}, line [23]"):
        verify_journal(tmp_path, "supervisor")


def test_a_removed_line_is_named(tmp_path: Path) -> None:
    """A line that is gone is found by the one that follows it."""
    write(tmp_path, 1, 3)
    path = journal_files(tmp_path, "supervisor")[0].path
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + lines[2])
    with pytest.raises(DamagedJournal, match="line 2 does not follow"):
        verify_journal(tmp_path, "supervisor")


def test_a_removed_file_is_named(tmp_path: Path) -> None:
    """A file that is gone from the middle is missing lines."""
    write(tmp_path, 1, 6, file_bytes=1)
    os.unlink(journal_files(tmp_path, "supervisor")[2].path)
    with pytest.raises(DamagedJournal, match="lines 3 to 3 are missing"):
        verify_journal(tmp_path, "supervisor")


def test_a_newer_format_is_refused() -> None:
    """A line of a newer Driftgate is refused with both formats named."""
    line = b'{"format":2,"number":1,"previous":"","event":{"at":"","kind":"x","who":"y"}}'
    with pytest.raises(DamagedJournal, match="has format 2; this Driftgate reads 1"):
        decode_line(line)
