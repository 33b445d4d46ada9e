"""Named rows, as people think of them, to and from the tensors that the model takes. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from operator import itemgetter
from typing import Any

import numpy as np

from driftgate.models.elements import Array, Elements, shown
from driftgate.models.errors import InvalidInput
from driftgate.models.manifest import Column, Manifest
from driftgate.models.signature import TensorSpec

Row = Mapping[str, Any]

_MOST_NAMED = 10


def feeds_from_rows(manifest: Manifest, rows: Sequence[Row]) -> dict[str, Array]:
    """Return the model's input tensors, in signature order, made from rows of named values.

    Raises InvalidInput that names row and column. `RowReader` does the same for many calls of one model.
    """
    return RowReader.of(manifest).feeds(rows)


def rows_from_feeds(manifest: Manifest, feeds: Mapping[str, Array]) -> list[dict[str, Any]]:
    """Return the rows that `feeds_from_rows` would make these input tensors from; missing values are None.

    An optional value that is missing is left out where nothing is known that stands for it.
    """
    plans = _plans(manifest)
    count = len(feeds[plans[0].spec.name]) if plans and plans[0].spec.batched else 1
    rows: list[dict[str, Any]] = [{} for _ in range(count)]
    for plan in plans:
        tensor = feeds[plan.spec.name]
        lists = np.asarray(tensor).reshape(count, -1 if tensor.size else plan.width)
        for place, name in enumerate(plan.names):
            values = lists[:, place].tolist() if plan.columns else _nested(tensor, plan.spec)
            for row, value in zip(rows, values, strict=True):
                row[name] = _missing_as_none(value, plan.columns[place]) if plan.columns else value
    return rows


@dataclass(frozen=True, slots=True)
class RowReader:
    """Turns rows into tensors; everything that depends on the model alone is worked out once, by `of`."""

    plans: tuple["_Plan", ...]
    names: frozenset[str]
    required: frozenset[str]

    @classmethod
    def of(cls, manifest: Manifest) -> "RowReader":
        """Return the reader of the rows of one version."""
        plans = _plans(manifest)
        optional = {column.name for column in manifest.columns if column.missing}
        names = frozenset(chain.from_iterable(plan.names for plan in plans))
        return cls(plans=plans, names=names, required=names - optional)

    def feeds(self, rows: Sequence[Row]) -> dict[str, Array]:
        """Return the input tensors of `rows`; raise InvalidInput that names row and column."""
        if not rows:
            raise InvalidInput("rows: at least one row is needed")
        if not any(plan.spec.batched for plan in self.plans) and len(rows) > 1:
            raise InvalidInput(f"rows: this model takes one row at a time and got {len(rows)}")
        try:
            feeds = {plan.spec.name: plan.tensor(rows) for plan in self.plans}
        except KeyError:
            rows = [self._completed(number, row) for number, row in enumerate(rows)]
            return {plan.spec.name: plan.tensor(rows) for plan in self.plans}
        width = len(self.names)
        for number, row in enumerate(rows):
            if len(row) != width:
                self._completed(number, row)
        return feeds

    def _completed(self, number: int, row: Row) -> Row:
        """Return `row` with None for every optional column that it leaves out."""
        absent = self.required - row.keys()
        unknown = row.keys() - self.names
        if absent and unknown:
            raise InvalidInput(f"row {number}: missing {_listed(absent)} and unknown {_listed(unknown)}")
        if absent:
            raise InvalidInput(f"row {number}: missing {_listed(absent)}")
        if unknown:
            raise InvalidInput(
                f"row {number}: unknown {_listed(unknown)}; the model's columns are {_quoted(self.names)}"
            )
        return {name: row.get(name) for name in self.names}


@dataclass(frozen=True, slots=True)
class _Plan:
    """How one input tensor is made from rows: by its columns, or from a nested list under its own name."""

    spec: TensorSpec
    elements: Elements
    columns: tuple[Column, ...]
    names: tuple[str, ...]
    pick: Callable[[Row], Any]
    row_shape: tuple[int, ...]

    @property
    def width(self) -> int:
        return len(self.names)

    def tensor(self, rows: Sequence[Row]) -> Array:
        if not self.columns:
            return self._from_nested(rows)
        picked = map(self.pick, rows)
        values = list(picked if self.width == 1 else chain.from_iterable(picked))
        shape = (len(rows), *self.row_shape) if self.spec.batched else self.row_shape
        try:
            self.elements.check_types(values)
        except InvalidInput:
            values = [value.item() if isinstance(value, np.generic) else value for value in values]
            self.elements.check_types(values)
        return self.elements.array(values, shape)

    def _from_nested(self, rows: Sequence[Row]) -> Array:
        tensors = [self._nested_row(number, self.pick(row)) for number, row in enumerate(rows)]
        if not self.spec.batched:
            return tensors[0]
        if len({tensor.shape for tensor in tensors}) > 1:
            raise InvalidInput(f"input {self.spec.name!r}: its shape differs from row to row")
        return np.stack(tensors)

    def _nested_row(self, number: int, value: Any) -> Array:
        values: list[Any] = []
        shape = _flatten(value, values, f"row {number}, input {self.spec.name!r}", len(self.row_shape))
        fits = all(want in (-1, have) for want, have in zip(self.row_shape, shape, strict=True))
        if not fits:
            raise InvalidInput(
                f"row {number}, input {self.spec.name!r}: expected shape {list(self.row_shape)}, "
                f"got {list(shape)}"
            )
        self.elements.check_types(values)
        return self.elements.array(values, shape)


def _plans(manifest: Manifest) -> tuple[_Plan, ...]:
    return tuple(_plan(spec, manifest) for spec in manifest.signature.inputs)


def _plan(spec: TensorSpec, manifest: Manifest) -> _Plan:
    own = sorted((c for c in manifest.columns if c.input == spec.name), key=lambda c: c.index or 0)
    elements = Elements.of(spec, own)
    if len(own) != elements.row_size:
        own = []
    names = tuple(column.name for column in own) or (spec.name,)
    return _Plan(
        spec=spec,
        elements=elements,
        columns=tuple(own),
        names=names,
        pick=itemgetter(*names),
        row_shape=spec.shape[1:] if spec.batched else spec.shape,
    )


def _flatten(value: Any, into: list[Any], place: str, depth: int) -> tuple[int, ...]:
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if depth == 0:
        into.append(value)
        return ()
    if not isinstance(value, list | tuple) or not value:
        raise InvalidInput(f"{place}: {shown(value)} is not a list of values")
    shapes = {_flatten(item, into, place, depth - 1) for item in value}
    if len(shapes) > 1:
        raise InvalidInput(f"{place}: its lists differ in length")
    return (len(value), *shapes.pop())


def _nested(tensor: Array, spec: TensorSpec) -> list[Any]:
    nested: list[Any] = tensor.tolist() if spec.batched else [tensor.tolist()]
    return nested


def _missing_as_none(value: Any, column: Column) -> Any:
    if column.missing and (value != value or (isinstance(value, str) and value == column.missing_token)):
        return None
    return value


def _listed(names: frozenset[str] | set[str]) -> str:
    return f"column {_quoted(names)}" if len(names) == 1 else f"columns {_quoted(names)}"


def _quoted(names: frozenset[str] | set[str]) -> str:
    first = sorted(names)[:_MOST_NAMED]
    more = f" and {len(names) - len(first)} more" if len(names) > len(first) else ""
    return ", ".join(shown(name) for name in first) + more
