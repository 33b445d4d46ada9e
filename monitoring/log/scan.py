"""Finding frames in bytes: whole ones, and the stretches between them that are damaged. Pure."""

from collections.abc import Iterator
from typing import NamedTuple

from driftgate.monitoring.log.frames import HEADER_BYTES, MAGIC, FrameHeader, is_intact, read_header


class Scanned(NamedTuple):
    """A frame from `start` to `end`, or, without header, bytes that are none."""

    start: int
    end: int
    header: FrameHeader | None = None
    payload: bytes = b""


def scan(data: bytes, salt: int, final: bool) -> Iterator[Scanned]:
    """Yield what is in `data` from its beginning, without holes.

    What is cut off at its end is left for later, unless `final` says that nothing will ever follow.
    """
    at = 0
    while at < len(data):
        header = _header_at(data, at, salt)
        end = at + HEADER_BYTES + (header.length if header else 0)
        if end > len(data) and not final and (header or _may_become_header(data, at)):
            return
        payload = data[at + HEADER_BYTES : end] if header and end <= len(data) else None
        if header and payload is not None and is_intact(header, payload):
            yield Scanned(at, end, header, payload)
        else:
            end = _next_header(data, at + 1, salt, final)
            yield Scanned(at, end)
        at = end


def _header_at(data: bytes, at: int, salt: int) -> FrameHeader | None:
    return read_header(data, at, salt) if len(data) - at >= HEADER_BYTES else None


def _may_become_header(data: bytes, at: int) -> bool:
    return data[at : at + len(MAGIC)] == MAGIC[: len(data) - at]


def _next_header(data: bytes, at: int, salt: int, final: bool) -> int:
    """Return where the next frame may begin, else the end of the data (or of what can hold no frame)."""
    while (at := data.find(MAGIC, at)) >= 0:
        if _header_at(data, at, salt) or (len(data) - at < HEADER_BYTES and not final):
            return at
        at += 1
    if not final:
        for tail in range(max(0, len(data) - len(MAGIC) + 1), len(data)):
            if _may_become_header(data, tail):
                return tail
    return len(data)
