"""Which columns of a version stored features fill, and the keys by which clients ask for them. Pure.

A binding is part of the manifest. Columns that no feature fills come with the request, and so do the keys.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple

import msgspec

KeyType = Literal["string", "int64"]

KEY_DATATYPES: dict[KeyType, str] = {"string": "BYTES", "int64": "INT64"}
_WHOLE_NUMBERS = frozenset({"INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32"})


class BoundKey(msgspec.Struct, frozen=True, omit_defaults=True):
    """A key that clients send, one value per row. `example` is shown to those who write clients.

    Where a column of the request has its name, the key is that column's value and nothing more is sent.
    """

    name: str
    type: KeyType = "string"
    description: str | None = None
    example: str | int | None = None


class BoundFeature(msgspec.Struct, frozen=True, omit_defaults=True):
    """The columns that one feature fills: one for a single value, as many as a vector is long.

    `overridable` lets a request send the columns themselves; a value that it does not send is looked up.
    """

    feature: str
    columns: tuple[str, ...]
    overridable: bool = False


class BoundView(msgspec.Struct, frozen=True):
    """A feature view that a version reads. `keys` gives for each of the view's join keys the client's key."""

    view: str
    keys: dict[str, str]
    features: tuple[BoundFeature, ...]


class FeatureBinding(msgspec.Struct, frozen=True):
    """All that a version reads from the feature store, and the keys it is asked by, in their order."""

    keys: tuple[BoundKey, ...]
    views: tuple[BoundView, ...]

    @property
    def filled(self) -> frozenset[str]:
        """The names of the columns that stored features fill."""
        return frozenset(name for view in self.views for one in view.features for name in one.columns)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """A name for each bound feature, `view.feature`; with its keys where a view is bound repeatedly."""
        bound = Counter(view.view for view in self.views)
        labels = (
            view.view if bound[view.view] == 1 else f"{view.view}({','.join(view.keys.values())})"
            for view in self.views
        )
        named = zip(labels, self.views, strict=True)
        return tuple(f"{label}.{one.feature}" for label, view in named for one in view.features)

    @property
    def overridable(self) -> frozenset[str]:
        """The names of the columns that a request may send in place of what is stored."""
        bound = (one for view in self.views for one in view.features)
        return frozenset(name for one in bound if one.overridable for name in one.columns)


class BindingProblem(NamedTuple):
    """What is wrong with a binding: in the view of that number (None: none of them), at that word."""

    text: str
    view: int | None = None
    word: str = ""


def binding_problems(
    binding: FeatureBinding, datatypes: Mapping[str, str], inputs: frozenset[str]
) -> Iterator[BindingProblem]:
    """Yield what contradicts the model: its columns have these `datatypes`, its `inputs` these names."""
    if not binding.views:
        yield BindingProblem("no view is bound; leave the features out, or bind a view")
    yield from _column_problems(binding, datatypes)
    yield from _key_problems(binding, datatypes, inputs)


def _column_problems(binding: FeatureBinding, datatypes: Mapping[str, str]) -> Iterator[BindingProblem]:
    filled: set[str] = set()
    for number, view in enumerate(binding.views):
        if not view.features:
            yield BindingProblem(f"view {view.view!r} fills no column", number, "features")
        for bound in view.features:
            for name in bound.columns:
                if name not in datatypes:
                    known = some_of(datatypes)
                    problem = f"column {name!r} is none of the model's that have names: {known}"
                    yield BindingProblem(problem, number, name)
                elif name in filled:
                    yield BindingProblem(f"column {name!r} is filled twice", number, name)
                filled.add(name)


def _key_problems(
    binding: FeatureBinding, datatypes: Mapping[str, str], inputs: frozenset[str]
) -> Iterator[BindingProblem]:
    filled = binding.filled
    known = {key.name: key for key in binding.keys}
    used: set[str] = set()
    for number, view in enumerate(binding.views):
        if not view.keys:
            yield BindingProblem(f"view {view.view!r} has no keys", number, "keys")
        for name in view.keys.values():
            used.add(name)
            if name not in known:
                yield BindingProblem(f"key {name!r} is not described among the keys", number, name)
    for name, key in known.items():
        datatype = datatypes.get(name)
        if name not in used:
            yield BindingProblem(f"key {name!r} finds no view", None, name)
        elif name in filled:
            yield BindingProblem(f"key {name!r} is a column that a feature fills", None, name)
        elif datatype is None and name in inputs:
            yield BindingProblem(f"key {name!r} has the name of an input of the model", None, name)
        elif datatype is not None and not _may_be_key(key.type, datatype):
            yield BindingProblem(
                f"key {name!r} is {key.type}, and the model's column of that name is {datatype}", None, name
            )


def _may_be_key(kind: KeyType, datatype: str) -> bool:
    return datatype == "BYTES" if kind == "string" else datatype in _WHOLE_NUMBERS


def some_of(names: Mapping[str, object] | frozenset[str], most: int = 10) -> str:
    """Return the first `most` names in their order of the alphabet, for people."""
    found = sorted(names)
    return ", ".join(found[:most]) + (f" and {len(found) - most} more" if len(found) > most else "")
