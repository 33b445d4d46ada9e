"""How rows of features lie in Redis. Pure.

Ours: a string under `driftgate/<view>/<schema id>/` and the entity's key. It begins with a hash of that key,
so that a reply which belongs to another key is noticed, whatever went wrong on the way.
"""

from collections.abc import Sequence
from hashlib import blake2b
from typing import Protocol

import msgspec

from driftgate.features.lookup.store import Lookup
from driftgate.features.redis.replies import Command, Reply
from driftgate.features.rows.layout import RowLayout
from driftgate.features.views.status import Fault

KEY_HASH_BYTES = 8
KEY_PREFIX = "driftgate"


class FoundRow(msgspec.Struct, frozen=True, gc=False):
    """What Redis has of it: a packed row or None; which features it lacks; why something cannot be used.

    Many are remembered, and the garbage collector need not look at any of them.
    """

    packed: bytes | None
    missing: tuple[int, ...] = ()
    fault: Fault | None = None


NOTHING = FoundRow(None)
DAMAGED = FoundRow(None, fault=Fault.CORRUPT)


class RedisRows(Protocol):
    """A way to lay out rows."""

    def commands(self, lookups: Sequence[Lookup]) -> list[Command]:
        """Return the commands that read the rows, for one pipeline."""
        ...

    def found(self, lookups: Sequence[Lookup], replies: Sequence[Reply]) -> list[FoundRow]:
        """Return a row for each key of the look-ups, in order; `replies` are those to `commands(lookups)`."""
        ...


class PackedRedisRows:
    """Rows as Driftgate writes them: one MGET for all that a turn needs."""

    def commands(self, lookups: Sequence[Lookup]) -> list[Command]:
        """See RedisRows."""
        places = [place for layout, keys in lookups for place in redis_keys(layout, keys)]
        return [(b"MGET", *places)]

    def found(self, lookups: Sequence[Lookup], replies: Sequence[Reply]) -> list[FoundRow]:
        """See RedisRows."""
        values = replies[0]
        wanted = sum([len(lookup.keys) for lookup in lookups])
        if not isinstance(values, list) or len(values) != wanted:
            return [DAMAGED] * wanted
        found: list[FoundRow] = []
        for layout, keys in lookups:
            own = values[len(found) : len(found) + len(keys)]
            found += _found(redis_prefix(layout.view.name, layout.schema_id), keys, own)
        return found


def redis_prefix(view: str, schema_id: int) -> bytes:
    """Return what the names of all rows of a view begin with in Redis."""
    return f"{KEY_PREFIX}/{view}/{schema_id:016x}/".encode()


def redis_keys(layout: RowLayout, keys: Sequence[bytes]) -> list[bytes]:
    """Return the keys in Redis under which the rows of some entities lie."""
    prefix = redis_prefix(layout.view.name, layout.schema_id)
    return [prefix + key for key in keys]


def redis_key(view: str, schema_id: int, key: bytes) -> bytes:
    """Return the key in Redis under which the row of an entity lies."""
    return redis_prefix(view, schema_id) + key


def redis_value(place: bytes, packed: bytes) -> bytes:
    """Return what lies under a key in Redis: the hash of that key, and the packed row."""
    return blake2b(place, digest_size=KEY_HASH_BYTES).digest() + packed


def _found(prefix: bytes, keys: Sequence[bytes], values: Sequence[Reply]) -> list[FoundRow]:
    begun = blake2b(prefix, digest_size=KEY_HASH_BYTES)
    found: list[FoundRow] = []
    for key, value in zip(keys, values, strict=True):
        if not isinstance(value, bytes):
            found.append(NOTHING if value is None else DAMAGED)
            continue
        of_key = begun.copy()  # a third of the time of hashing all of the name
        of_key.update(key)
        sound = value[:KEY_HASH_BYTES] == of_key.digest()
        found.append(FoundRow(value[KEY_HASH_BYTES:]) if sound else DAMAGED)
    return found
