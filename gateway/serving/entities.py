"""The entities that requests ask about: their keys, each once for every view, however many rows name it."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from driftgate.features.errors import InvalidKey
from driftgate.features.lookup.resolve import Resolver
from driftgate.features.lookup.store import Lookup
from driftgate.gateway.errors import BadRequest, TooLarge
from driftgate.gateway.serving.exchange import Exchange
from driftgate.gateway.serving.feature_plan import FeaturePlan, ViewPlan
from driftgate.gateway.serving.served import ServedVersion
from driftgate.gateway.wire.inference import Array

Keys = list[list[bytes]]


class Asked(NamedTuple):
    """What the requests of one version ask for: `keys[v]` has the key of each row in its view `v`."""

    served: ServedVersion
    plan: FeaturePlan
    exchanges: list[Exchange]
    keys: Keys


def asked_of(served: ServedVersion, plan: FeaturePlan, exchanges: list[Exchange], most_rows: int) -> Asked:
    """Return what requests ask for; those with too many rows, or a key that cannot be one, fail with that."""
    try:
        return Asked(served, plan, exchanges, [_keys(view, exchanges, most_rows) for view in plan.views])
    except (InvalidKey, TooLarge):
        sound = [exchange for exchange in exchanges if _is_sound(plan, exchange, most_rows)]
        return Asked(served, plan, sound, [_keys(view, sound, most_rows) for view in plan.views])


class Entities:
    """The entities of one question to the store: `wanted` are the look-ups, by view, `resolvers` theirs."""

    __slots__ = ("resolvers", "wanted")

    def __init__(self, asked: Sequence[Asked]) -> None:
        self.wanted: dict[str, Lookup] = {}
        self.resolvers: dict[str, Resolver] = {}
        for one in asked:
            for view, keys in zip(one.plan.views, one.keys, strict=True):
                self._add(view, keys)

    def rows(self, view: str, keys: list[bytes]) -> Array | None:
        """Return where each of these keys is in the answer, None where they are all of it, in its order."""
        found = self.wanted[view].keys
        if found is keys:
            return None
        places = dict(zip(found, range(len(found)), strict=True))
        return np.array([places[key] for key in keys], np.intp)

    def _add(self, view: ViewPlan, keys: list[bytes]) -> None:
        name = view.name
        before = self.wanted.get(name)
        if before is None:
            self.resolvers[name] = view.resolver
            unique = dict.fromkeys(keys)
            self.wanted[name] = Lookup(view.layout, keys if len(unique) == len(keys) else list(unique))
        else:
            self.wanted[name] = Lookup(view.layout, list(dict.fromkeys([*before.keys, *keys])))


def _keys(view: ViewPlan, exchanges: Sequence[Exchange], most_rows: int) -> list[bytes]:
    """Return the key of every row; raise InvalidKey for one that cannot be, TooLarge for too many."""
    name, element = view.key[0]
    is_one, encode, encode_one = len(view.key) == 1, view.codec.encode, view.codec.encode_one
    keys: list[bytes] = []
    for exchange in exchanges:
        array = exchange.request.inputs[name]
        if is_one and array.size == 1:
            keys.append(encode_one(array.item()))
            continue
        _check_rows(exchange, most_rows)
        keys += map(encode_one, _values(array, element)) if is_one else map(encode, _key_rows(view, exchange))
    return keys


def _check_rows(exchange: Exchange, most: int) -> None:
    rows = exchange.request.rows
    if rows > most:
        raise TooLarge(f"the request has {rows} rows whose features are to be looked up; it may have {most}")


def _key_rows(view: ViewPlan, exchange: Exchange) -> "zip[tuple[str | int, ...]]":
    inputs = exchange.request.inputs
    return zip(*(_values(inputs[name], element) for name, element in view.key), strict=True)


def _values(array: Array, element: int) -> list[str | int]:
    values: list[str | int] = array.reshape(len(array), -1)[:, element].tolist()
    return values


def _is_sound(plan: FeaturePlan, exchange: Exchange, most_rows: int) -> bool:
    """Tell whether all keys of a request can be; it fails with the first that cannot."""
    try:
        _check_rows(exchange, most_rows)
        for view in plan.views:
            for number, values in enumerate(_key_rows(view, exchange)):
                _check_key(view, number, values)
    except (BadRequest, TooLarge) as error:
        exchange.fail(error)
        return False
    return True


def _check_key(view: ViewPlan, row: int, values: tuple[str | int, ...]) -> None:
    try:
        view.codec.encode(values)
    except InvalidKey as error:
        raise BadRequest(f"row {row}, features of view {view.name!r}: {error}") from None
