"""The entities that requests ask about: their keys, each once for every view, however many rows name it."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from driftgate.features.errors import InvalidKey
from driftgate.features.lookup.resolve import Resolver
from driftgate.features.lookup.store import Lookup
from driftgate.gateway.errors import BadRequest
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


def asked_of(served: ServedVersion, plan: FeaturePlan, exchanges: list[Exchange]) -> Asked:
    """Return what requests ask for; those with a key that cannot be one fail, with its row and the reason."""
    try:
        return Asked(served, plan, exchanges, [_keys(view, exchanges) for view in plan.views])
    except InvalidKey:
        sound = [exchange for exchange in exchanges if _has_sound_keys(plan, exchange)]
        return Asked(served, plan, sound, [_keys(view, sound) for view in plan.views])


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


def _keys(view: ViewPlan, exchanges: Sequence[Exchange]) -> list[bytes]:
    """Return the key of every row; raise InvalidKey for one that cannot be."""
    if len(view.key) > 1:
        encode = view.codec.encode
        return [encode(values) for exchange in exchanges for values in _key_rows(view, exchange)]
    encode_one = view.codec.encode_one
    ((name, element),) = view.key
    keys = []
    for exchange in exchanges:
        array = exchange.request.inputs[name]
        if array.size == 1:
            keys.append(encode_one(array.item()))
        else:
            keys += map(encode_one, _values(array, element))
    return keys


def _key_rows(view: ViewPlan, exchange: Exchange) -> "zip[tuple[str | int, ...]]":
    inputs = exchange.request.inputs
    return zip(*(_values(inputs[name], element) for name, element in view.key), strict=True)


def _values(array: Array, element: int) -> list[str | int]:
    values: list[str | int] = array.reshape(len(array), -1)[:, element].tolist()
    return values


def _has_sound_keys(plan: FeaturePlan, exchange: Exchange) -> bool:
    for view in plan.views:
        for number, values in enumerate(_key_rows(view, exchange)):
            try:
                view.codec.encode(values)
            except InvalidKey as error:
                exchange.fail(BadRequest(f"row {number}, features of view {view.name!r}: {error}"))
                return False
    return True
