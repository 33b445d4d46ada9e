"""Frames of the prediction log: a header that can be found and checked, and the bytes it announces.

Header, little-endian, 32 bytes: magic, format, kind, 2 zero bytes, payload length, CRC32C of the payload,
sequence, 4 zero bytes, CRC32C of the header so far. The header's checksum starts from the boot id's, so bytes
that a client sent cannot pass for a frame; the magic is not UTF-8, so no text contains it.
"""

import enum
import struct
from typing import NamedTuple

import google_crc32c

FORMAT = 2
"""2 added the bucket of each request; 1 is still read."""
MAGIC = b"\xffDG\xfe"
HEADER_BYTES = 32
NO_SEQUENCE = 2**64 - 1
"""The sequence of an end that somebody else wrote, who could not know how far the boot had come."""

_FIELDS = struct.Struct("<4sBBHIIQI")
_CHECK = struct.Struct("<I")
_MARK = struct.Struct("<3q")
MARK_FRAME_BYTES = HEADER_BYTES + _MARK.size


class NewerFormat(Exception):
    """The log was written by a newer Driftgate; the text says what to do."""


class Kind(enum.IntEnum):
    """What a frame holds."""

    BLOCK = 1
    MARK = 2
    END = 3


class Mark(NamedTuple):
    """A watermark: every row that comes later in this boot has `recorded_us` >= `time_us`.

    In an END no row comes later at all. The counts are of this boot so far.
    """

    time_us: int
    written_rows: int = 0
    dropped_rows: int = 0


class FrameHeader(NamedTuple):
    """A header that passed its check."""

    kind: int
    length: int
    checksum: int
    sequence: int
    format: int = FORMAT


def salt_of(boot: str) -> int:
    """Return what the header checksums of a boot start from."""
    return int(google_crc32c.value(boot.encode()))


def encode_header(kind: Kind, sequence: int, payload: bytes, salt: int) -> bytes:
    """Return what stands before a payload in its frame."""
    fields = _FIELDS.pack(MAGIC, FORMAT, kind, 0, len(payload), google_crc32c.value(payload), sequence, 0)
    return fields + _CHECK.pack(google_crc32c.extend(salt, fields))


def encode_frame(kind: Kind, sequence: int, payload: bytes, salt: int) -> bytes:
    """Return one frame."""
    return encode_header(kind, sequence, payload, salt) + payload


def encode_mark(kind: Kind, sequence: int, mark: Mark, salt: int) -> bytes:
    """Return the frame of a watermark or an end."""
    return encode_frame(kind, sequence, _MARK.pack(*mark), salt)


def decode_mark(payload: bytes) -> Mark:
    """Return the mark in the payload of a frame that is intact."""
    return Mark(*_MARK.unpack(payload))


def read_header(data: bytes, at: int, salt: int) -> FrameHeader | None:
    """Return the header at `at`, or None if there is none that passes its check.

    `data` holds at least HEADER_BYTES from there. Raises NewerFormat.
    """
    fields = data[at : at + _FIELDS.size]
    magic, format_number, kind, _, length, checksum, sequence, _ = _FIELDS.unpack(fields)
    if magic != MAGIC or _CHECK.unpack_from(data, at + _FIELDS.size)[0] != google_crc32c.extend(salt, fields):
        return None
    if format_number > FORMAT:
        raise NewerFormat(
            f"the prediction log has format {format_number}; this Driftgate reads up to {FORMAT}. "
            "Upgrade Driftgate."
        )
    return FrameHeader(kind, length, checksum, sequence, format_number)


def is_intact(header: FrameHeader, payload: bytes) -> bool:
    """Tell whether a payload is the one that its header announced."""
    return bool(google_crc32c.value(payload) == header.checksum)
