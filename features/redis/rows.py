"""How rows of features lie in Redis. Pure.

Ours: a string under `driftgate/<view>/<schema id>/` and the entity's key. It begins with a hash of that key,
so that a reply which belongs to another key is noticed, whatever went wrong on the way.
"""

from collections.abc import Sequence
from hashlib import blake2b
from typing import NamedTuple, Protocol

from driftgate.features.redis.replies import Command, Reply
from driftgate.features.rows.layout import RowLayout
from driftgate.features.views.status import Fault

KEY_HASH_BYTES = 8
KEY_PREFIX = "driftgate"


class Wanted(NamedTuple):
    """One entity of one view; `key` is canonical bytes."""

    layout: RowLayout
    key: bytes


class FoundRow(NamedTuple):
    """What Redis has of it: a packed row or None; which features it lacks; why something cannot be used."""

    packed: bytes | None
    missing: tuple[int, ...] = ()
    fault: Fault | None = None


NOTHING = FoundRow(None)
DAMAGED = FoundRow(None, fault=Fault.CORRUPT)


class RedisRows(Protocol):
    """A way to lay out rows."""

    def commands(self, wanted: Sequence[Wanted]) -> list[Command]:
        """Return the commands that read the rows, for one pipeline."""
        ...

    def found(self, wanted: Sequence[Wanted], replies: Sequence[Reply]) -> list[FoundRow]:
        """Return a row for each that was wanted; `replies` are those to `commands(wanted)`."""
        ...


class PackedRedisRows:
    """Rows as Driftgate writes them: one MGET for all that a turn needs."""

    def commands(self, wanted: Sequence[Wanted]) -> list[Command]:
        """See RedisRows."""
        return [(b"MGET", *map(_place, wanted))]

    def found(self, wanted: Sequence[Wanted], replies: Sequence[Reply]) -> list[FoundRow]:
        """See RedisRows."""
        values = replies[0]
        if not isinstance(values, list) or len(values) != len(wanted):
            return [DAMAGED] * len(wanted)
        return [_found(_place(entity), value) for entity, value in zip(wanted, values, strict=True)]


def redis_key(view: str, schema_id: int, key: bytes) -> bytes:
    """Return the key in Redis under which the row of an entity lies."""
    return f"{KEY_PREFIX}/{view}/{schema_id:016x}/".encode() + key


def redis_value(place: bytes, packed: bytes) -> bytes:
    """Return what lies under a key in Redis: the hash of that key, and the packed row."""
    return blake2b(place, digest_size=KEY_HASH_BYTES).digest() + packed


def _place(wanted: Wanted) -> bytes:
    return redis_key(wanted.layout.view.name, wanted.layout.schema_id, wanted.key)


def _found(place: bytes, value: Reply) -> FoundRow:
    if value is None:
        return NOTHING
    if not isinstance(value, bytes) or value[:KEY_HASH_BYTES] != redis_value(place, b""):
        return DAMAGED
    return FoundRow(value[KEY_HASH_BYTES:])
