"""Where Feast keeps features in Redis: the key of an entity's hash and the names of its fields. Pure.

Key serialisation version 3. The hash of an entity holds the features of all its views; each view has a field
with the event time. The vectors in the tests are those that Feast's own code produces.
"""

import struct
from collections.abc import Sequence
from enum import IntEnum
from typing import NamedTuple

_U32 = struct.Struct("<I")
_INTEGERS = {3: struct.Struct("<i"), 4: struct.Struct("<q"), 8: struct.Struct("<q")}


class FeastKeyType(IntEnum):
    """Feast's ValueType of a join key."""

    BYTES = 1
    STRING = 2
    INT32 = 3
    INT64 = 4
    UNIX_TIMESTAMP = 8


class FeastJoinKey(NamedTuple):
    """A join key as Feast declares it."""

    name: str
    type: FeastKeyType


def hash_key(project: str, join_keys: Sequence[FeastJoinKey], values: Sequence[str | int | bytes]) -> bytes:
    """Return the Redis key of an entity; `values` in the order of `join_keys`, whatever that is.

    Raises ValueError for an integer that its type cannot hold.
    """
    pairs = sorted(zip(join_keys, values, strict=True))
    names = [_U32.pack(FeastKeyType.STRING) + _sized(key.name.encode()) for key, _ in pairs]
    contents = [_U32.pack(key.type) + _sized(_value_bytes(key, value)) for key, value in pairs]
    return b"".join([_U32.pack(len(pairs)), *names, *contents, project.encode()])


def feature_field(view: str, feature: str) -> bytes:
    """Return the name of the hash field that holds a feature: four raw bytes."""
    return _U32.pack(murmur3_x86_32(f"{view}:{feature}".encode()))


def event_time_field(view: str) -> bytes:
    """Return the name of the hash field that holds the event time of a view."""
    return f"_ts:{view}".encode()


def murmur3_x86_32(data: bytes, seed: int = 0) -> int:
    """Return the 32-bit MurmurHash3 of `data` (Austin Appleby, public domain: `MurmurHash3_x86_32`)."""
    whole = len(data) & ~3
    state = seed
    for (block,) in _U32.iter_unpack(data[:whole]):
        state ^= _scrambled(block)
        state = (_rotated(state, 13) * 5 + 0xE6546B64) & 0xFFFF_FFFF
    state ^= _scrambled(int.from_bytes(data[whole:], "little")) ^ len(data)
    state = ((state ^ state >> 16) * 0x85EBCA6B) & 0xFFFF_FFFF
    state = ((state ^ state >> 13) * 0xC2B2AE35) & 0xFFFF_FFFF
    return state ^ state >> 16


def _scrambled(block: int) -> int:
    return _rotated(block * 0xCC9E2D51 & 0xFFFF_FFFF, 15) * 0x1B873593 & 0xFFFF_FFFF


def _rotated(word: int, bits: int) -> int:
    return (word << bits | word >> (32 - bits)) & 0xFFFF_FFFF


def _sized(content: bytes) -> bytes:
    return _U32.pack(len(content)) + content


def _value_bytes(key: FeastJoinKey, value: str | int | bytes) -> bytes:
    if isinstance(value, int):
        try:
            return _INTEGERS[key.type].pack(value)
        except (KeyError, struct.error) as error:
            raise ValueError(f"join key {key.name}: {value} is no {key.type.name}") from error
    if isinstance(value, str):
        value = value.encode()
    if key.type in _INTEGERS:
        raise ValueError(f"join key {key.name}: a text is no {key.type.name}")
    return value
