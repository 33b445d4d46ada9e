"""A journal: what one process saw happen, appended line by line, each line naming the hash of the one before.

One writer per journal. A line is one write and on the disk before `append` returns; a torn last line, from a
machine that lost power, is taken back by the next writer and skipped by readers. A file that is full is
followed by another; the oldest go. The name of a file is `<journal>-<number of its first line>.jsonl`.
"""

import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec

from driftgate.gateway.formats import other_format
from driftgate.gateway.state.events import Event
from driftgate.models.storage.durable import sync

FORMAT = 1
NO_PREDECESSOR = ""
FILE_BYTES = 2**20
FILES_KEPT = 16
JOURNALS = ("control", "monitor", "supervisor")

_NAME = re.compile(r"([a-z]+)-(\d{12})\.jsonl")
_OPEN = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC


class DamagedJournal(Exception):
    """A line that is damaged, altered, missing or of a newer Driftgate; the text names file and line."""


class JournalLine(msgspec.Struct, frozen=True):
    """One line. `previous` is the SHA-256 of the bytes of the line before."""

    format: int
    number: Annotated[int, msgspec.Meta(ge=1)]
    previous: str
    event: Event


class JournalFile(NamedTuple):
    """One file of a journal and the number of its first line."""

    first: int
    path: Path


class Journal:
    """The writing side, for the one process that this journal belongs to."""

    def __init__(self, directory: Path, name: str, file_bytes: int = FILE_BYTES) -> None:
        """Continue the journal `name` in `directory`, which is made; raises OSError."""
        self._directory = directory
        self._name = name
        self._file_bytes = file_bytes
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        files = journal_files(directory, name)
        self._open(files[-1] if files else JournalFile(1, self._path(1)))
        if files and not self._size:
            self._previous = _last_digest(files[:-1])

    def append(self, event: Event) -> None:
        """Add one event, durably; raises OSError, and the journal is as before."""
        if self._size >= self._file_bytes:
            self._begin_file()
        line = JournalLine(FORMAT, self._number + 1, self._previous, event)
        data = msgspec.json.encode(line)
        try:
            if os.write(self._descriptor, data + b"\n") != len(data) + 1:
                raise OSError("the disk took only a part of the line")
            os.fsync(self._descriptor)
        except OSError:
            os.ftruncate(self._descriptor, self._size)
            raise
        self._size += len(data) + 1
        self._number += 1
        self._previous = line_digest(data)

    def close(self) -> None:
        """Write no more."""
        os.close(self._descriptor)

    def _open(self, file: JournalFile) -> None:
        self._descriptor = os.open(file.path, _OPEN, 0o600)
        data = file.path.read_bytes()
        if not data:
            sync(self._directory)
        whole = data[: data.rfind(b"\n") + 1]
        if len(whole) < len(data):
            os.ftruncate(self._descriptor, len(whole))
        self._size = len(whole)
        lines = whole.splitlines()
        self._number = file.first - 1 + len(lines)
        self._previous = line_digest(lines[-1]) if lines else NO_PREDECESSOR

    def _begin_file(self) -> None:
        previous, finished = self._previous, self._descriptor
        self._open(JournalFile(self._number + 1, self._path(self._number + 1)))
        self._previous = previous
        os.close(finished)
        for file in journal_files(self._directory, self._name)[:-FILES_KEPT]:
            file.path.unlink(missing_ok=True)

    def _path(self, first: int) -> Path:
        return self._directory / f"{self._name}-{first:012}.jsonl"


def journal_files(directory: Path, name: str) -> list[JournalFile]:
    """Return the files of a journal, oldest first; none where there is no such directory."""
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        return []
    found = (_NAME.fullmatch(entry) for entry in names)
    return sorted(JournalFile(int(it[2]), directory / it[0]) for it in found if it and it[1] == name)


def read_journal(directory: Path, name: str) -> Iterator[Event]:
    """Yield the events of a journal, newest first; lines that cannot be read are left to `verify_journal`."""
    for file in reversed(journal_files(directory, name)):
        for line in reversed(_whole_lines(file.path)):
            try:
                yield decode_line(line).event
            except DamagedJournal:
                continue


def verify_journal(directory: Path, name: str) -> int:
    """Check every line and every link of a journal and return how many lines there are.

    Raises DamagedJournal for the first one that is wrong. The oldest file that is kept may begin anywhere.
    """
    files = journal_files(directory, name)
    previous, number = None, files[0].first - 1 if files else 0
    for file in files:
        if file.first != number + 1:
            raise DamagedJournal(f"{file.path.name}: lines {number + 1} to {file.first - 1} are missing")
        for at, data in enumerate(_whole_lines(file.path), start=1):
            where = f"{file.path.name}, line {at}"
            try:
                line = decode_line(data)
            except DamagedJournal as error:
                raise DamagedJournal(f"{where}: {error}") from error
            number += 1
            expected = NO_PREDECESSOR if number == 1 else previous
            if line.number != number or (expected is not None and line.previous != expected):
                raise DamagedJournal(
                    f"{where} does not follow the line before as it is now: one was altered or removed"
                )
            previous = line_digest(data)
    return number - (files[0].first - 1) if files else 0


def decode_line(data: bytes) -> JournalLine:
    """Return one line, else raise DamagedJournal."""
    other = other_format(data, FORMAT)
    if other is not None:
        raise DamagedJournal(f"has format {other}; this Driftgate reads {FORMAT}")
    try:
        return msgspec.json.decode(data, type=JournalLine)
    except msgspec.MsgspecError as error:
        raise DamagedJournal(f"damaged: {error}") from error


def line_digest(data: bytes) -> str:
    """Return the hash that the next line names as `previous`."""
    return hashlib.sha256(data).hexdigest()


def _last_digest(files: list[JournalFile]) -> str:
    for file in reversed(files):
        lines = _whole_lines(file.path)
        if lines:
            return line_digest(lines[-1])
    return NO_PREDECESSOR


def _whole_lines(path: Path) -> list[bytes]:
    try:
        data = path.read_bytes()
    except FileNotFoundError:  # the oldest file, which has just been let go
        return []
    return data[: data.rfind(b"\n") + 1].split(b"\n")[:-1]
