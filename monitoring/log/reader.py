"""The reader of prediction logs: every record once, from where it last stopped, with what is missing named.

A frame that is cut off at the end of the newest segment is still being written and is waited for; anywhere
else it is damage, and the next frame is searched for. Nothing that follows damage is lost.
"""

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

import msgspec

from driftgate.monitoring.log.blocks import Block, BlockDecoder, DamagedBlock
from driftgate.monitoring.log.frames import NO_SEQUENCE, FrameHeader, Kind, decode_mark, salt_of
from driftgate.monitoring.log.scan import Scanned, scan
from driftgate.monitoring.log.segments import Segment, list_segments, segment_name

CHUNK_BYTES = 4 * 2**20
MOST_BYTES = 64 * 2**20


class Position(msgspec.Struct, frozen=True):
    """How far one boot has been read: the next byte, and the sequence of the frame that is expected there.

    `mark_us` is the last watermark; `ended` says that nothing follows.
    """

    segment: int = 0
    byte: int = 0
    sequence: int = 0
    mark_us: int = 0
    ended: bool = False


class ReadBlock(msgspec.Struct, frozen=True, gc=False):
    """A block and where it stood; (boot, sequence) names it for ever."""

    slot: int
    boot: str
    sequence: int
    block: Block


@dataclass(frozen=True, slots=True)
class Problem:
    """What is missing or damaged: `lost_frames` that never came, `damaged_bytes` that could not be read."""

    slot: int
    boot: str
    segment: int
    byte: int
    lost_frames: int = 0
    damaged_bytes: int = 0


Found = ReadBlock | Problem
BootKey = tuple[int, str]
Directories = Callable[[], Mapping[int, Path]]


class BootReader:
    """Reads the segments of one boot in order; `position` is always behind what was yielded last."""

    def __init__(self, slot: int, boot: str, position: Position, decoder: BlockDecoder) -> None:
        self.position = position
        self.segments: list[Segment] = []
        self.has_more = False
        """Whether the last `read` stopped before the end."""
        self._decoder = decoder
        self._slot = slot
        self._boot = boot
        self._salt = salt_of(boot)

    def read(self, most_bytes: int) -> Iterator[Found]:
        """Yield what has come since the last call and stop after about `most_bytes` of it."""
        left = most_bytes
        self.has_more = False
        later = [segment for segment in self.segments if segment.number >= self.position.segment]
        for place, segment in enumerate(later):
            if self.position.ended:
                return
            if left <= 0:
                self.has_more = True
                return
            if segment.number != self.position.segment:
                self._move(segment=segment.number, byte=0)
            began = self.position.byte
            yield from self._read_segment(segment, place + 1 < len(later), left)
            left -= self.position.byte - began

    def backlog_bytes(self) -> int:
        """Return how many bytes are there to be read."""
        total = 0
        for segment in self.segments:
            with contextlib.suppress(FileNotFoundError):
                if segment.number > self.position.segment:
                    total += segment.path.stat().st_size
                elif segment.number == self.position.segment:
                    total += max(0, segment.path.stat().st_size - self.position.byte)
        return total

    def _read_segment(self, segment: Segment, closed: bool, most_bytes: int) -> Iterator[Found]:
        stop = self.position.byte + most_bytes
        size = CHUNK_BYTES
        try:
            with _opened(segment) as file:
                while self.position.byte < stop:
                    start = self.position.byte
                    data = os.pread(file.fileno(), size, start)
                    yield from self._read_chunk(data, closed and len(data) < size)
                    if len(data) < size:
                        return
                    # A frame that is longer than the chunk
                    size = CHUNK_BYTES if self.position.byte > start else 2 * size
                self.has_more = True
        except FileNotFoundError:
            return  # deleted meanwhile; the sequence tells whether anything in it was missed

    def _read_chunk(self, data: bytes, final: bool) -> Iterator[Found]:
        start = self.position.byte
        for scanned in scan(data, self._salt, final):
            self._move(byte=start + scanned.end)
            if scanned.header is None:
                yield self._problem(damaged_bytes=scanned.end - scanned.start)
            else:
                yield from self._take(scanned, scanned.header)

    def _take(self, scanned: Scanned, header: FrameHeader) -> Iterator[Found]:
        if header.sequence != NO_SEQUENCE:
            if header.sequence < self.position.sequence:
                return  # read before
            if header.sequence > self.position.sequence:
                yield self._problem(lost_frames=header.sequence - self.position.sequence)
            self._move(sequence=header.sequence + 1)
        if header.kind == Kind.BLOCK:
            yield self._block(scanned, header)
        elif header.kind in (Kind.MARK, Kind.END):
            mark = decode_mark(scanned.payload)
            self._move(mark_us=max(self.position.mark_us, mark.time_us), ended=header.kind == Kind.END)

    def _block(self, scanned: Scanned, header: FrameHeader) -> Found:
        try:
            block = self._decoder.decode(scanned.payload, header.format)
        except DamagedBlock:
            return self._problem(damaged_bytes=scanned.end - scanned.start)
        return ReadBlock(self._slot, self._boot, header.sequence, block)

    def _move(self, **changes: int | bool) -> None:
        self.position = msgspec.structs.replace(self.position, **changes)

    def _problem(self, lost_frames: int = 0, damaged_bytes: int = 0) -> Problem:
        at = self.position
        return Problem(self._slot, self._boot, at.segment, at.byte, lost_frames, damaged_bytes)


class LogReader:
    """Reads the logs of all slots. `directories` is asked at every look, since slots come."""

    def __init__(self, directories: Directories, positions: Mapping[BootKey, Position] | None = None) -> None:
        """Go on at `positions`, as a reader before this one left them."""
        self._directories = directories
        self._decoder = BlockDecoder()
        self._boots = {
            (slot, boot): BootReader(slot, boot, position, self._decoder)
            for (slot, boot), position in (positions or {}).items()
        }
        self.watermark_us = 0

    @property
    def positions(self) -> Mapping[BootKey, Position]:
        """How far every boot has been read."""
        return {key: boot.position for key, boot in self._boots.items()}

    def read(self, most_bytes: int = MOST_BYTES) -> Iterator[Found]:
        """Yield what has come in, about `most_bytes` of each boot; then move `watermark_us`.

        Whoever looks at the watermark before the last item has been taken sees the one before.
        """
        self._look()
        for key in sorted(self._boots):
            yield from self._boots[key].read(most_bytes)
        # Whoever began before this look is in it, and whoever comes after it logs later times only.
        self._look()
        self.watermark_us = max(self.watermark_us, self._lowest_mark())

    @property
    def has_more(self) -> bool:
        """Whether the last `read` left something that was there."""
        return any(boot.has_more for boot in self._boots.values())

    def backlog_bytes(self) -> int:
        """Return how many bytes are there to be read."""
        return sum(boot.backlog_bytes() for boot in self._boots.values())

    def _lowest_mark(self) -> int:
        positions = [boot.position for boot in self._boots.values()]
        live = [position.mark_us for position in positions if not position.ended]
        return min(live) if live else max((position.mark_us for position in positions), default=0)

    def _look(self) -> None:
        present: dict[BootKey, list[Segment]] = {}
        for slot, directory in self._directories().items():
            for segment in list_segments(directory):
                present.setdefault((slot, segment.boot), []).append(segment)
        for key in present.keys() - self._boots.keys():
            self._boots[key] = BootReader(*key, Position(), self._decoder)
        for key, boot in list(self._boots.items()):
            boot.segments = present.get(key, [])
            if not boot.segments and (boot.position.ended or boot.position == Position()):
                del self._boots[key]


def _opened(segment: Segment) -> FileIO:
    """Open a segment by the name that it has now."""
    with contextlib.suppress(FileNotFoundError):
        return open(segment.path, "rb", buffering=0)
    archived = segment.path.with_name(segment_name(segment.boot, segment.number, archived=True))
    return open(archived, "rb", buffering=0)
