"""Feast's values as they lie in an online store: serialised `feast.types.Value` and `Timestamp`. Pure.

Only what an online store holds: scalars, lists of scalars, null. Field numbers are those of Feast's
`feast/types/Value.proto`; the last of a oneof wins, as protocol buffers have it.
"""

import struct
from collections.abc import Callable, Iterator

from driftgate.features.feast.protobuf_fields import BrokenMessage, bytes_of, fields, text_of, varint

Scalar = bool | int | float | str | bytes
FeastValue = Scalar | list[Scalar] | None
"""None is null. A Unix timestamp is an int of seconds."""

_LIST_OFFSET = 10  # FloatList is field 16 as float is 6, and so on
_NULL = 19
_FLOAT_TAG, _DOUBLE_TAG = 0x35, 0x29
_FLOAT, _DOUBLE = struct.Struct("<f"), struct.Struct("<d")
_LAST_SECOND = 253_402_300_799  # of the year 9999, the limit that protocol buffers set


def decode_value(data: bytes) -> FeastValue:
    """Return the value in a serialised Value; raise BrokenMessage."""
    if len(data) == 1 + _FLOAT.size and data[0] == _FLOAT_TAG:
        return float(_FLOAT.unpack_from(data, 1)[0])
    if len(data) == 1 + _DOUBLE.size and data[0] == _DOUBLE_TAG:
        return float(_DOUBLE.unpack_from(data, 1)[0])
    value: FeastValue = None
    for number, content in fields(data):
        if number == _NULL:
            value = None
        elif number in _SCALARS:
            value = _scalar(number, content)
        elif number - _LIST_OFFSET in _SCALARS:
            value = list(_items(number - _LIST_OFFSET, content))
        else:
            raise BrokenMessage(f"values of kind {number} are not read")
    return value


def decode_timestamp(data: bytes) -> int:
    """Return a serialised Timestamp in whole microseconds since 1970; raise BrokenMessage."""
    parts = {number: _signed(content) for number, content in fields(data)}
    seconds, nanos = parts.get(1, 0), parts.get(2, 0)
    if not (0 <= nanos < 10**9 and abs(seconds) <= _LAST_SECOND):
        raise BrokenMessage("the timestamp is out of range")
    return seconds * 10**6 + nanos // 1000


def _scalar(kind: int, content: int | bytes) -> Scalar:
    return _SCALARS[kind](content)


def _items(kind: int, message: int | bytes) -> Iterator[Scalar]:
    for number, content in fields(bytes_of(message)):
        if number != 1:
            continue
        if isinstance(content, bytes) and kind in _PACKED:
            yield from _PACKED[kind](content)
        else:
            yield _scalar(kind, content)


def _packed_varints(kind: int, data: bytes) -> Iterator[Scalar]:
    at = 0
    while at < len(data):
        content, at = varint(data, at)
        yield _scalar(kind, content)


def _packed_floats(number: struct.Struct, data: bytes) -> Iterator[Scalar]:
    if len(data) % number.size:
        raise BrokenMessage("a list of numbers ends in the middle of one")
    return (float(value) for (value,) in number.iter_unpack(data))


def _float(number: struct.Struct, content: int | bytes) -> float:
    data = bytes_of(content)
    if len(data) != number.size:
        raise BrokenMessage(f"a number has {len(data)} bytes instead of {number.size}")
    return float(number.unpack(data)[0])


def _signed(content: int | bytes, bits: int = 64) -> int:
    if not isinstance(content, int):
        raise BrokenMessage("bytes stand where a whole number should")
    content &= (1 << bits) - 1
    return content - (1 << bits) if content >> (bits - 1) else content


_SCALARS: dict[int, Callable[[int | bytes], Scalar]] = {
    1: bytes_of,
    2: text_of,
    3: lambda content: _signed(content, 32),
    4: _signed,
    5: lambda content: _float(_DOUBLE, content),
    6: lambda content: _float(_FLOAT, content),
    7: lambda content: _signed(content) != 0,
    8: _signed,
}
_PACKED: dict[int, Callable[[bytes], Iterator[Scalar]]] = {
    3: lambda data: _packed_varints(3, data),
    4: lambda data: _packed_varints(4, data),
    5: lambda data: _packed_floats(_DOUBLE, data),
    6: lambda data: _packed_floats(_FLOAT, data),
    7: lambda data: _packed_varints(7, data),
    8: lambda data: _packed_varints(8, data),
}
