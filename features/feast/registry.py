"""An existing Feast registry as view declarations, so that what Feast serves can be served from here. Pure.

Reads the file that Feast calls `registry.db` (a `feast.core.Registry` message) without Feast installed. Field
numbers are those of its `feast/core/*.proto`. What has no counterpart here is left out, with the reason.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from driftgate.features.errors import InvalidView
from driftgate.features.feast.protobuf_fields import BrokenMessage, Message
from driftgate.features.views.view import Dtype, Feature, FeatureView, JoinKey, KeyDtype, check_view

NO_ENTITY = "__dummy_id"
"""The join key that Feast makes up for a view without entities."""

_KEY_TYPES: Mapping[int, KeyDtype] = {2: "string", 4: "int64"}
_SCALARS: Mapping[int, Dtype] = {
    2: "string",
    3: "int32",
    4: "int64",
    5: "float64",
    6: "float32",
    7: "bool",
    8: "int64",
}
_LISTS: Mapping[int, Dtype] = {13: "int32", 14: "int64", 15: "float64", 16: "float32", 17: "bool"}
_UNIX_TIMESTAMP = 8


class InvalidFeastRegistry(Exception):
    """A file that is no Feast registry; the text says why."""


class FeastView(NamedTuple):
    """A view and the Feast project that it belongs to."""

    project: str
    view: FeatureView


@dataclass(frozen=True)
class FeastViews:
    """What a registry holds: views, and what was left out of it as `where: why`."""

    views: tuple[FeastView, ...]
    left_out: tuple[str, ...]


def read_feast_registry(data: bytes, project: str | None = None) -> FeastViews:
    """Return the feature views of a registry, or of one of its projects.

    Raises InvalidFeastRegistry if the bytes are none.
    """
    try:
        registry = Message(data)
        left_out = list(_other_views(registry, project))
        views = []
        for spec in (view.message(1) for view in registry.messages(6)):
            if project in (None, spec.text(2)):
                found, omitted = _view(spec)
                views += [FeastView(spec.text(2), found)] if found else []
                left_out += omitted
    except BrokenMessage as error:
        raise InvalidFeastRegistry(f"this is no Feast registry file: {error}") from error
    if not views and not left_out:
        raise InvalidFeastRegistry("there are no feature views in this file, or not in this project")
    return FeastViews(tuple(views), tuple(left_out))


def _other_views(registry: Message, project: str | None) -> Iterator[str]:
    for number, kind in ((8, "an on-demand view: compute it before it is pushed"), (14, "a stream view")):
        for spec in (view.message(1) for view in registry.messages(number)):
            if project in (None, spec.text(2)):
                yield f"{spec.text(1)}: it is {kind}"


def _view(spec: Message) -> tuple[FeatureView | None, list[str]]:
    """Return the view of a FeatureViewSpec, if it has a counterpart, and what had to be left out of it."""
    name = spec.text(1)
    try:
        join_keys = tuple(_join_key(column) for column in spec.messages(12))
    except _NoCounterpart as error:
        return None, [f"{name}: {error}"]
    features: list[Feature] = []
    left_out = []
    for column in spec.messages(4):
        try:
            features.append(_feature(column))
        except _NoCounterpart as error:
            left_out.append(f"{name}.{column.text(1)}: {error}")
    try:
        return _assembled(spec, join_keys, tuple(features)), left_out
    except InvalidView as error:
        return None, [*left_out, f"{name}: {error}"]


def _assembled(spec: Message, join_keys: tuple[JoinKey, ...], features: tuple[Feature, ...]) -> FeatureView:
    duration = spec.message(6)
    ttl_s = duration.number(1) + duration.number(2) / 1e9
    view = FeatureView(
        name=spec.text(1),
        join_keys=join_keys,
        features=features,
        ttl_s=ttl_s or None,
        description=spec.text(10),
        owner=spec.text(11),
    )
    return check_view(view)


class _NoCounterpart(Exception):
    """Something of Feast's that has none here."""


def _join_key(column: Message) -> JoinKey:
    name, kind = column.text(1), column.number(2)
    if name == NO_ENTITY:
        raise _NoCounterpart("it has no entity, so there is no key to look it up by")
    if kind not in _KEY_TYPES:
        raise _NoCounterpart(f"its join key {name} is neither STRING nor INT64")
    return JoinKey(name, _KEY_TYPES[kind])


def _feature(column: Message) -> Feature:
    name, kind, length = column.text(1), column.number(2), column.number(7)
    description, unit = column.text(4), "s since 1970" if kind == _UNIX_TIMESTAMP else ""
    if kind in _SCALARS:
        return Feature(name, _SCALARS[kind], unit=unit, description=description)
    if kind in _LISTS and length > 0:
        return Feature(name, _LISTS[kind], length=length, description=description)
    if kind in _LISTS:
        raise _NoCounterpart("the length of its lists is not declared; add the feature with its length")
    raise _NoCounterpart(f"values of its type (number {kind} of Feast's) are not served here")
