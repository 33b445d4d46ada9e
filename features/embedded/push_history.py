"""The history of what was pushed into a view: every row that was written, and when, for training sets.

A row is noted in the delta in the transaction that writes it, so that neither is there without the other.
From there the oldest are moved into files, `<view>/history/pushed-<first>-<last>.rows`: CRC-32 (u32) and
MessagePack. A row may be in both for a moment; its number tells that it is one.
"""

import os
import re
import struct
import zlib
from collections.abc import Container, Iterable, Iterator, Sequence
from itertools import accumulate, chain
from pathlib import Path
from typing import NamedTuple

import msgspec

from driftgate.features.durable import replace_file
from driftgate.features.embedded.history_parts import history_directory
from driftgate.features.embedded.lmdb_file import SharedRows
from driftgate.features.embedded.snapshots import ViewFiles
from driftgate.features.errors import StoreDamaged

FORMAT = 1
FILE_ROWS = 4096
FILE_BYTES = 2**22
_READ_ROWS = 50_000
_CHECK = struct.Struct("<I")
_FILE = re.compile(r"pushed-(\d{18})-(\d{18})\.rows")

Numbered = tuple[bytes, bytes]
"""The number of a row as it stands in the delta, u64 big-endian, and the row as it is kept."""


class PushedRow(NamedTuple):
    """One row as it was written: when (µs since 1970), for which canonical key, and the packed row."""

    written_us: int
    key: bytes
    row: bytes


class _File(msgspec.Struct, frozen=True):
    """`rows` are encoded PushedRows, the first of them with the number `first`, the others following."""

    format: int
    view: str
    rows: list[bytes]


_ROWS = msgspec.msgpack.Decoder(PushedRow)
_FILES = msgspec.msgpack.Decoder(_File)


def numbered(rows: Iterable[PushedRow], first: int) -> list[Numbered]:
    """Return rows as they are noted in the delta."""
    return [(_number(at), msgspec.msgpack.encode(row)) for at, row in enumerate(rows, first)]


def number_of(key: bytes) -> int:
    """Return the number of a row in the delta, 0 of none."""
    return int.from_bytes(key, "big")


def is_due(noted: Sequence[Numbered], keep_from_us: int) -> bool:
    """Tell whether the oldest rows in the delta fill a file, or were written before `keep_from_us`."""
    return bool(noted) and (
        _fitting(noted) < len(noted) or _ROWS.decode(noted[0][1]).written_us < keep_from_us
    )


def write_file(files: ViewFiles, noted: Sequence[Numbered]) -> list[bytes]:
    """Put the oldest noted rows into a file, durably, and return their numbers; raises OSError."""
    directory = history_directory(files.root, files.view)
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    moved = noted[: _fitting(noted)]
    first, last = number_of(moved[0][0]), number_of(moved[-1][0])
    content = msgspec.msgpack.encode(_File(FORMAT, files.view, [row for _, row in moved]))
    name = f"pushed-{first:018}-{last:018}.rows"
    replace_file(directory / name, _CHECK.pack(zlib.crc32(content)) + content)
    return [number for number, _ in moved]


def last_number(directory: Path) -> int:
    """Return the number of the newest row in the files, 0 if there are none."""
    return max((int(match[2]) for match in _files(directory)), default=0)


def remove_files(directory: Path, before_s: float, max_bytes: int) -> int:
    """Remove what was written before a time (s since 1970), and the oldest beyond a size; return how many.

    Raises OSError.
    """
    found = [(directory / match[0], os.stat(directory / match[0])) for match in reversed(_files(directory))]
    sizes = accumulate(status.st_size for _, status in found)
    leaving = [
        path
        for (path, status), size in zip(found, sizes, strict=True)
        if status.st_mtime < before_s or size > max_bytes
    ]
    for path in leaving:
        path.unlink()
    return len(leaving)


def pushed_rows(files: ViewFiles, keys: Container[bytes] | None = None) -> list[PushedRow]:
    """Return what is kept of what was pushed for these canonical keys (None: for all), as it was written.

    Raises StoreDamaged and StoreError.
    """
    found: dict[int, PushedRow] = {}
    # What is in the delta first: what leaves it meanwhile is in a file by then.
    for number, packed in chain(_noted(files), _filed(files)):
        row = _ROWS.decode(packed)
        if keys is None or row.key in keys:
            found[number] = row
    return [found[number] for number in sorted(found)]


def _filed(files: ViewFiles) -> Iterator[tuple[int, bytes]]:
    directory = history_directory(files.root, files.view)
    for match in _files(directory):
        yield from enumerate(_read(directory / match[0]).rows, int(match[1]))


def _noted(files: ViewFiles) -> Iterator[tuple[int, bytes]]:
    try:
        delta = SharedRows(files.delta)
    except FileNotFoundError:
        return
    try:
        after = b""
        while some := delta.items_beside(after, _READ_ROWS):
            yield from ((number_of(number), row) for number, row in some)
            after = some[-1][0]
    finally:
        delta.close()


def _read(path: Path) -> _File:
    try:
        data = path.read_bytes()
        if _CHECK.unpack_from(data)[0] != zlib.crc32(data[_CHECK.size :]):
            raise struct.error
        content = _FILES.decode(data[_CHECK.size :])
    except FileNotFoundError:  # it was too old, and left just now
        return _File(FORMAT, "", [])
    except (struct.error, msgspec.MsgspecError) as error:
        raise StoreDamaged(f"{path.name} of the history of pushes is damaged: remove it") from error
    if content.format > FORMAT:
        raise StoreDamaged(f"{path.name} has format {content.format}: upgrade Driftgate")
    return content


def _files(directory: Path) -> list[re.Match[str]]:
    """Return the names of the files, the oldest first."""
    names = os.listdir(directory) if directory.is_dir() else []
    return [match for name in sorted(names) if (match := _FILE.fullmatch(name))]


def _fitting(noted: Sequence[Numbered]) -> int:
    """Return how many of the oldest rows one file takes, at least one."""
    sizes = accumulate(len(row) for _, row in noted[:FILE_ROWS])
    return max(1, sum(size <= FILE_BYTES for size in sizes))


def _number(at: int) -> bytes:
    return at.to_bytes(8, "big")
