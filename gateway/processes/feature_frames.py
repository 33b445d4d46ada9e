"""What workers and the process that writes pushed features say to each other, and how it is framed. Pure.

A frame is its length (u32, little-endian) and a message in MessagePack. Both ends are of one installation, so
the messages carry no format number.
"""

import struct
from collections.abc import Iterator
from typing import TypeVar

import msgspec

MAX_FRAME_BYTES = 2**26
"""64 MiB: the largest push with room to spare."""

_LENGTH = struct.Struct("<I")


class Push(msgspec.Struct, frozen=True, tag="push"):
    """Write these rows: canonical keys and packed rows of one view, as many of each."""

    id: int
    view: str
    keys: tuple[bytes, ...]
    rows: tuple[bytes, ...]

    def __post_init__(self) -> None:
        if len(self.keys) != len(self.rows):
            raise ValueError("as many keys as rows are needed")


class Pushed(msgspec.Struct, frozen=True, tag="pushed"):
    """What became of each row, a byte of PushOutcome for each; on the disk."""

    id: int
    outcomes: bytes


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """Nothing was written. `is_full`: for want of room on the disk."""

    id: int
    reason: str
    is_full: bool = False


Reply = Pushed | Failed

_REQUESTS = msgspec.msgpack.Decoder(Push)
_REPLIES = msgspec.msgpack.Decoder(Reply)
_T = TypeVar("_T")


class MalformedFrame(Exception):
    """What arrived is no frame; the connection cannot be used any more."""


def encode_frame(message: Push | Reply) -> bytes:
    """Return a message as it is sent."""
    payload = msgspec.msgpack.encode(message)
    return _LENGTH.pack(len(payload)) + payload


def pushes_in(buffer: bytearray) -> Iterator[Push]:
    """Take the complete pushes out of a buffer; raise MalformedFrame."""
    return (_decoded(_REQUESTS, payload) for payload in _payloads(buffer))


def replies_in(buffer: bytearray) -> Iterator[Reply]:
    """Take the complete replies out of a buffer; raise MalformedFrame."""
    return (_decoded(_REPLIES, payload) for payload in _payloads(buffer))


def _payloads(buffer: bytearray) -> Iterator[bytes]:
    at = 0
    try:
        while len(buffer) - at >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(buffer, at)
            if length > MAX_FRAME_BYTES:
                raise MalformedFrame(f"a frame of {length} bytes; {MAX_FRAME_BYTES} are allowed")
            end = at + _LENGTH.size + length
            if len(buffer) < end:
                return
            payload = bytes(buffer[at + _LENGTH.size : end])
            at = end
            yield payload
    finally:
        del buffer[:at]


def _decoded(decoder: "msgspec.msgpack.Decoder[_T]", payload: bytes) -> _T:
    try:
        return decoder.decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise MalformedFrame(str(error)) from error
