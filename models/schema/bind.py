"""A stated binding, compared with the model it is for and with the views it reads. Pure.

The views are declared elsewhere; here only their shape is known.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

import msgspec

from driftgate.models.schema.binding import (
    BindingProblem,
    BoundView,
    FeatureBinding,
    KeyType,
    binding_problems,
)
from driftgate.models.schema.client_manifest import client_manifest
from driftgate.models.schema.columns import named_inputs
from driftgate.models.schema.elements import fill_of
from driftgate.models.schema.manifest import Column, Manifest, format_of
from driftgate.models.schema.signature import FLOATS
from driftgate.models.schema.stated_binding import StatedBinding

_FITTING = {
    "float32": FLOATS,
    "float64": FLOATS,
    "int32": FLOATS | {"INT32", "INT64"},
    "int64": FLOATS | {"INT64"},
    "bool": FLOATS | {"BOOL", "INT8", "INT16", "INT32", "INT64", "UINT8"},
    "string": frozenset({"BYTES"}),
}
"""The columns that a feature of each dtype may fill: those that hold all its values, rounded like floats."""


class DeclaredKey(Protocol):
    """A join key of a view."""

    @property
    def name(self) -> str:
        """Its name in the view."""

    @property
    def dtype(self) -> KeyType:
        """Its type."""


class DeclaredFeature(Protocol):
    """A feature of a view: `length` values of `dtype`, and what there is where none is stored."""

    @property
    def name(self) -> str:
        """Its name in the view."""

    @property
    def dtype(self) -> str:
        """Its type, as in numpy; or string."""

    @property
    def length(self) -> int:
        """How many values it has."""

    @property
    def on_missing(self) -> str:
        """What stands for one that is missing."""

    @property
    def on_stale(self) -> str:
        """What stands for one that is too old."""


class DeclaredView(Protocol):
    """A feature view, as a binding is compared with it."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def join_keys(self) -> Sequence[DeclaredKey]:
        """What its rows are found by."""

    @property
    def features(self) -> Sequence[DeclaredFeature]:
        """What its rows hold."""


def bind(
    stated: StatedBinding, manifest: Manifest, views: Mapping[str, DeclaredView] | None = None
) -> Manifest:
    """Return the manifest with its features bound; keys without a stated type have that of their view.

    Without `views` the binding is compared with the model alone. Raises InvalidManifest that names the line.
    """
    binding = stated.binding if views is None else _with_key_types(stated, views)
    bound = msgspec.structs.replace(manifest, features=binding, format=format_of(binding))
    for problem in model_problems(bound):
        raise stated.error(problem)
    for problem in view_problems(bound, views) if views is not None else ():
        raise stated.error(problem)
    return bound


def model_problems(manifest: Manifest) -> Sequence[BindingProblem]:
    """Return what in the binding of a manifest, if it has one, contradicts its own model."""
    binding = manifest.features
    if binding is None:
        return ()
    datatypes = {name: column.datatype for name, column in _named_columns(manifest).items()}
    inputs = frozenset(spec.name for spec in manifest.signature.inputs)
    problems = tuple(binding_problems(binding, datatypes, inputs))
    if problems:
        return problems
    if not all(spec.batched for spec in manifest.signature.inputs):
        return (BindingProblem("features need a model all of whose inputs count rows"),)
    names = Counter(spec.name for spec in client_manifest(manifest).signature.inputs)
    return tuple(
        BindingProblem(f"clients would have {count} inputs called {name!r}", None, name)
        for name, count in names.items()
        if count > 1
    )


def view_problems(manifest: Manifest, views: Mapping[str, DeclaredView]) -> Iterator[BindingProblem]:
    """Yield what in the binding of a manifest contradicts the declared views; it has no model problems."""
    binding = manifest.features
    if binding is None:
        return
    columns = _named_columns(manifest)
    types: dict[str, KeyType] = {key.name: key.type for key in binding.keys}
    for number, bound in enumerate(binding.views):
        view = views.get(bound.view)
        if view is None:
            known = ", ".join(sorted(views)) or "none"
            problem = f"view {bound.view!r} is not declared; declared are: {known}"
            yield BindingProblem(problem, number, bound.view)
        else:
            yield from _key_problems(number, bound, view, types)
            yield from _feature_problems(number, bound, view, columns)


def _key_problems(
    number: int, bound: BoundView, view: DeclaredView, types: Mapping[str, KeyType]
) -> Iterator[BindingProblem]:
    declared = {key.name: key.dtype for key in view.join_keys}
    if bound.keys.keys() != declared.keys():
        problem = f"view {view.name!r} has join keys {sorted(declared)}, not {sorted(bound.keys)}"
        yield BindingProblem(problem, number, "keys")
    for join_key, name in bound.keys.items():
        if declared.get(join_key, types[name]) != types[name]:
            yield BindingProblem(
                f"key {name!r} is {types[name]}, and join key {join_key!r} of view {view.name!r} is "
                f"{declared[join_key]}",
                number,
                name,
            )


def _feature_problems(
    number: int, bound: BoundView, view: DeclaredView, columns: Mapping[str, Column]
) -> Iterator[BindingProblem]:
    declared = {feature.name: feature for feature in view.features}
    for one in bound.features:
        feature = declared.get(one.feature)
        if feature is None:
            known = ", ".join(sorted(declared))
            problem = f"view {view.name!r} has no feature {one.feature!r}; it has: {known}"
        else:
            problem = _misfit(view, feature, [columns[name] for name in one.columns])
        if problem:
            yield BindingProblem(problem, number, one.feature)


def _misfit(view: DeclaredView, feature: DeclaredFeature, columns: Sequence[Column]) -> str:
    named = f"feature {feature.name!r} of view {view.name!r}"
    if len(columns) != feature.length:
        return f"{named} has {feature.length} values, and is to fill {len(columns)} columns"
    for column in columns:
        if column.datatype not in _FITTING[feature.dtype]:
            return (
                f"{named} is {feature.dtype}, and column {column.name!r} is "
                f"{column.datatype}, which does not hold all its values"
            )
        if "null" in (feature.on_missing, feature.on_stale) and fill_of(column, column.datatype) is None:
            return (
                f"{named} is null where it is missing or stale, and column {column.name!r} "
                "may not be missing: give the feature a default, or the policy 'error'"
            )
    return ""


def _named_columns(manifest: Manifest) -> dict[str, Column]:
    return {column.name: column for _, own in named_inputs(manifest) for column in own}


def _with_key_types(stated: StatedBinding, views: Mapping[str, DeclaredView]) -> FeatureBinding:
    types: dict[str, KeyType] = {}
    for bound in stated.binding.views:
        for key in views[bound.view].join_keys if bound.view in views else ():
            types.setdefault(bound.keys.get(key.name, ""), key.dtype)
    keys = (
        msgspec.structs.replace(key, type=types.get(key.name, key.type))
        if key.name in stated.untyped
        else key
        for key in stated.binding.keys
    )
    return msgspec.structs.replace(stated.binding, keys=tuple(keys))
