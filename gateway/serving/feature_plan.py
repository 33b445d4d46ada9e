"""How the rows of one version are completed with stored features: worked out once, when it is loaded.

Where the rows of a turn are fresh, completing them is a handful of array operations, whatever their number.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from driftgate.features.lookup.resolve import FreshRows, Resolved, Resolver
from driftgate.features.rows.layout import RowLayout
from driftgate.features.views.keys import KeyCodec
from driftgate.gateway.serving.override_plan import Override, overrides_of
from driftgate.gateway.wire.inference import Array
from driftgate.models.schema.binding import BoundView, FeatureBinding
from driftgate.models.schema.client_manifest import client_manifest
from driftgate.models.schema.columns import named_inputs
from driftgate.models.schema.elements import fill_of
from driftgate.models.schema.manifest import Column, Manifest
from driftgate.models.schema.signature import DATATYPES, TensorSpec

Places = slice | Array
"""Columns of a matrix: a slice where they lie side by side, else their numbers."""


class KeyPart(NamedTuple):
    """Where one value of a key is: an element of the rows of an input that clients send."""

    input: str
    element: int


class Fill(NamedTuple):
    """Elements of one of a view's blocks (None: all), and the columns of one input of the model they fill."""

    dtype: str
    elements: Places | None
    input: str
    columns: Places


class Gap(NamedTuple):
    """What stands for nothing in a column whose block cannot say so: the text of the model, or NaN.

    `feature` is the number of the feature that fills the column.
    """

    input: str
    column: int
    feature: int
    nothing: float | str


class TargetInput(NamedTuple):
    """One input of the model. `sent` are its columns that the request brings; None: it is sent whole."""

    name: str
    dtype: "np.dtype[np.generic]"
    row_shape: tuple[int, ...]
    width: int
    sent: Places | None

    @property
    def is_flat(self) -> bool:
        """Whether the rows of the input have one dimension."""
        return len(self.row_shape) == 1


@dataclass(frozen=True, slots=True)
class ViewPlan:
    """What a version reads of one view.

    `features` are the numbers of the features that it uses, `strict` says for each whether its columns need a
    value.
    """

    name: str
    bound: BoundView
    layout: RowLayout
    resolver: Resolver
    codec: KeyCodec
    key: tuple[KeyPart, ...]
    features: Array
    strict: Array
    fills: tuple[Fill, ...]
    gaps: tuple[Gap, ...]


@dataclass(frozen=True, slots=True)
class FeaturePlan:
    """How rows of one version are completed. `names` are those of the recorded features, `view.feature`.

    `sent` are the model's inputs of which a request brings columns. `reads_twice`: some view under two keys.
    """

    inputs: tuple[TargetInput, ...]
    sent: tuple[str, ...]
    views: tuple[ViewPlan, ...]
    overrides: tuple[Override, ...]
    names: tuple[str, ...]
    reads_twice: bool
    model: str
    version: str

    @classmethod
    def of(cls, manifest: Manifest, layouts: Mapping[str, RowLayout]) -> "FeaturePlan":
        """Return the plan of a version whose manifest binds features of views that all have a layout.

        Raises InvalidManifest or KeyError where the binding is none of these views.
        """
        binding = manifest.features
        assert binding is not None  # noqa: S101 - the caller asks for bound versions only
        columns = {column.name: column for _, own in named_inputs(manifest) for column in own}
        client = {column.name: column for column in client_manifest(manifest).columns}
        views = tuple(_view_plan(view, layouts[view.view], columns, client) for view in binding.views)
        inputs = tuple(_target(spec, own, binding) for spec, own in named_inputs(manifest))
        return cls(
            inputs=inputs,
            sent=tuple(one.name for one in inputs if not isinstance(one.sent, np.ndarray) or len(one.sent)),
            views=views,
            overrides=overrides_of([(view.bound, view.layout) for view in views], columns),
            names=binding.feature_names,
            reads_twice=len({view.name for view in views}) < len(views),
            model=manifest.name,
            version=str(manifest.version),
        )

    def assemble(
        self,
        sent: Mapping[str, Array],
        rows: int,
        found: Sequence[Resolved | FreshRows],
        places: Sequence[Array | None],
    ) -> dict[str, Array]:
        """Return the model's inputs: what was sent and, beside it, what was found for each view.

        `places[v]` are the rows of `found[v]` for each of our `rows`, None where they are the same ones.
        Where nothing is to stand, what a block has there does, see `put_gaps`.
        """
        arrays: dict[str, Array] = {}
        flat: dict[str, Array] = {}
        for target in self.inputs:
            if target.sent is None:
                arrays[target.name] = sent[target.name]
                continue
            flat[target.name] = table = np.empty((rows, target.width), target.dtype)
            if target.name in self.sent:
                table[:, target.sent] = sent[target.name]
            arrays[target.name] = table if target.is_flat else table.reshape(rows, *target.row_shape)
        for view, one, place in zip(self.views, found, places, strict=True):
            for fill in view.fills:
                block = one.blocks[fill.dtype]
                if place is not None:
                    block = block[place]
                flat[fill.input][:, fill.columns] = (
                    block if fill.elements is None else block[:, fill.elements]
                )
        return arrays

    def put_gaps(
        self, inputs: Mapping[str, Array], found: Sequence[Resolved], places: Sequence[Array | None]
    ) -> None:
        """Put what the model reads as missing into assembled inputs, in place; floats have it already."""
        for view, one, place in zip(self.views, found, places, strict=True):
            if one.absent is None:
                continue
            absent = _rows_of(one.absent, place)
            for gap in view.gaps:
                table = inputs[gap.input]
                table.reshape(len(table), -1)[absent[:, gap.feature], gap.column] = gap.nothing

    def statuses(self, resolved: Sequence[Resolved], places: Sequence[Array | None]) -> Array:
        """Return the statuses of the recorded features, uint8 [N, features]."""
        parts = [
            _rows_of(found.status, place)[:, view.features]
            for view, found, place in zip(self.views, resolved, places, strict=True)
        ]
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)

    def event_times(self, found: Sequence[Resolved | FreshRows], places: Sequence[Array | None]) -> Array:
        """Return when each view's event was, int64 [N, views]; 0: none is usable."""
        if len(found) == 1:
            return _rows_of(found[0].event_time_us, places[0])[:, None]
        parts = [_rows_of(one.event_time_us, place) for one, place in zip(found, places, strict=True)]
        return np.stack(parts, axis=1)

    def refusals(self, resolved: Sequence[Resolved], places: Sequence[Array | None]) -> Array | None:
        """Return which features of which rows forbid a prediction, bool [N, features]; None if none does."""
        if all(found.absent is None and found.refused is None for found in resolved):
            return None
        parts = []
        for view, found, place in zip(self.views, resolved, places, strict=True):
            refused = np.zeros((len(found.status), len(view.features)), bool)
            if found.refused is not None:
                refused |= found.refused[:, view.features]
            if found.absent is not None:
                refused |= found.absent[:, view.features] & view.strict
            parts.append(_rows_of(refused, place))
        cells = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)
        return cells if np.count_nonzero(cells) else None


def _rows_of(table: Array, place: Array | None) -> Array:
    return table if place is None else table[place]


def _target(spec: TensorSpec, columns: Sequence[Column], binding: FeatureBinding) -> TargetInput:
    filled = binding.filled
    left = [place for place, column in enumerate(columns) if column.name not in filled]
    whole = len(left) == len(columns)
    return TargetInput(
        spec.name,
        DATATYPES[spec.datatype].dtype,
        spec.shape[1:],
        len(columns),
        None if whole else _places(left),
    )


def _view_plan(
    bound: BoundView, layout: RowLayout, columns: Mapping[str, Column], client: Mapping[str, Column]
) -> ViewPlan:
    keys = [client[bound.keys[key.name]] for key in layout.view.join_keys]
    return ViewPlan(
        name=bound.view,
        bound=bound,
        layout=layout,
        resolver=Resolver(layout),
        codec=KeyCodec(layout.view),
        key=tuple(KeyPart(column.input, column.index or 0) for column in keys),
        features=np.array([layout.places[one.feature].index for one in bound.features], np.intp),
        strict=np.array(
            [any(_fill(columns[name]) is None for name in one.columns) for one in bound.features], bool
        ),
        fills=_fills(bound, layout, columns),
        gaps=tuple(_gaps(bound, layout, columns)),
    )


def _fills(bound: BoundView, layout: RowLayout, columns: Mapping[str, Column]) -> tuple[Fill, ...]:
    """Group the columns by block and input, so that each group is one assignment."""
    groups: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for one in bound.features:
        place = layout.places[one.feature]
        for offset, name in enumerate(one.columns):
            column = columns[name]
            groups.setdefault((place.dtype, column.input), []).append(
                (place.start + offset, column.index or 0)
            )
    fills = []
    for (dtype, name), pairs in groups.items():
        pairs.sort(key=lambda pair: pair[1])
        elements = [pair[0] for pair in pairs]
        everything = elements == list(range(layout.widths[dtype]))
        fills.append(
            Fill(dtype, None if everything else _places(elements), name, _places([p[1] for p in pairs]))
        )
    return tuple(fills)


def _gaps(bound: BoundView, layout: RowLayout, columns: Mapping[str, Column]) -> Iterator[Gap]:
    """Yield the columns that texts, whole numbers and booleans fill, if they may be missing."""
    for one in bound.features:
        place = layout.places[one.feature]
        for column in (columns[name] for name in one.columns):
            nothing = _fill(column)
            if nothing is not None and not place.dtype.startswith("float"):
                yield Gap(column.input, column.index or 0, place.index, nothing)


def _fill(column: Column) -> float | str | None:
    return fill_of(column, column.datatype)


def _places(numbers: list[int]) -> Places:
    if numbers and numbers == list(range(numbers[0], numbers[0] + len(numbers))):
        return slice(numbers[0], numbers[0] + len(numbers))
    return np.array(numbers, np.intp)
