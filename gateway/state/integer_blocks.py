"""Blocks of 64-bit integers in a small memory-mapped file, each named by two words: what one process counts.

Exact after a crash, since the pages outlive the process, and cheap enough for the hot path. One process
writes, anybody may read. Numbers are written where they are, so that counts never fall over a restart.
"""

import mmap
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

HEADER_BYTES = 64
_LENGTH = struct.Struct("<H")

Names = tuple[str, str]


class UnreadableBlocks(Exception):
    """A file that holds no such blocks, or is damaged."""


@dataclass(frozen=True, slots=True)
class BlockLayout:
    """What the blocks of one kind of file are like. `magic` has 8 bytes, the last one says the format."""

    magic: bytes
    key_bytes: int
    cells: int
    max_blocks: int

    @property
    def block_bytes(self) -> int:
        """Size of one block: its name and its cells."""
        return self.key_bytes + 8 * self.cells

    @property
    def file_bytes(self) -> int:
        """Size of the file, whatever it holds."""
        return HEADER_BYTES + self.max_blocks * self.block_bytes


class Block(NamedTuple):
    """One block as it was read."""

    names: Names
    cells: tuple[int, ...]


class BlockFile:
    """A file of blocks, opened for writing; one that is damaged is begun anew."""

    def __init__(self, path: Path, layout: BlockLayout) -> None:
        self._layout = layout
        self._blocks: dict[Names, memoryview] = {}
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            known = _known(descriptor, layout)
            # A store into a page that a full disk cannot back would kill the process.
            os.posix_fallocate(descriptor, 0, layout.file_bytes)
            os.pwrite(descriptor, layout.magic, 0)
            self._view = memoryview(mmap.mmap(descriptor, layout.file_bytes))
        finally:
            os.close(descriptor)
        for index, names in enumerate(known):
            self._blocks[names] = self._cells(index)

    def of(self, first: str, second: str) -> memoryview:
        """Return the cells of a pair of names, the same ones as before a restart.

        Pairs that there is no room for share the block of the two empty names.
        """
        names = (first, second)
        if names not in self._blocks:
            key = "\0".join(names).encode("utf-8", "backslashreplace")
            if names != ("", "") and not self._has_room(key):
                return self.of("", "")
            self._blocks[names] = self._append(key)
        return self._blocks[names]

    def names(self) -> list[Names]:
        """Return the pairs of names that have cells."""
        return list(self._blocks)

    def _has_room(self, key: bytes) -> bool:
        layout = self._layout
        return len(self._blocks) < layout.max_blocks - 1 and len(key) <= layout.key_bytes - _LENGTH.size

    def _append(self, key: bytes) -> memoryview:
        index = len(self._blocks)
        start = HEADER_BYTES + index * self._layout.block_bytes
        self._view[start + 2 : start + 2 + len(key)] = key
        _LENGTH.pack_into(self._view, start, len(key))
        return self._cells(index)

    def _cells(self, index: int) -> memoryview:
        layout = self._layout
        start = HEADER_BYTES + index * layout.block_bytes + layout.key_bytes
        return self._view[start : start + 8 * layout.cells].cast("q")


def read_blocks(path: Path, layout: BlockLayout) -> list[Block]:
    """Return what was counted (nothing without a file); raise UnreadableBlocks if the file is damaged."""
    try:
        with open(path, "rb") as file:
            return list(_blocks(file, layout))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UnreadableBlocks(f"{path.name}: {error.strerror}") from error


def _known(descriptor: int, layout: BlockLayout) -> list[Names]:
    try:
        with open(descriptor, "rb", closefd=False) as file:
            return [block.names for block in _blocks(file, layout)]
    except UnreadableBlocks:
        os.ftruncate(descriptor, 0)
        return []


def _blocks(file: BinaryIO, layout: BlockLayout) -> Iterator[Block]:
    """Read the blocks that are in use, the first of the file; it may have room for a thousand more."""
    is_whole = os.fstat(file.fileno()).st_size == layout.file_bytes
    if not is_whole or file.read(HEADER_BYTES)[:8] != layout.magic:
        raise UnreadableBlocks("not a file of these blocks, or of another format")
    for place in range(layout.max_blocks):
        data = file.read(layout.block_bytes)
        try:
            (length,) = _LENGTH.unpack_from(data)
            if length == 0:
                return
            first, second = data[2 : 2 + length].decode().split("\0")
            cells = struct.unpack_from(f"<{layout.cells}q", data, layout.key_bytes)
        except (ValueError, struct.error) as error:
            raise UnreadableBlocks(f"block {place} is damaged") from error
        yield Block((first, second), cells)
