"""Named rows, as people think of them, to and from the tensors that the model takes. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from operator import itemgetter
from typing import Any

import numpy as np

from driftgate.models.errors import InvalidInput
from driftgate.models.schema.elements import Array, Elements, fill_of, shown
from driftgate.models.schema.manifest import Column, Manifest
from driftgate.models.schema.signature import FLOATS, TensorSpec

Row = Mapping[str, Any]

_MOST_NAMED = 10


def named_inputs(manifest: Manifest) -> list[tuple[TensorSpec, tuple[Column, ...]]]:
    """Return every input with its columns in the order of their index.

    An input whose columns do not cover it whole has none: rows then give it by its own name, as nested lists.
    """
    return [(spec, _columns_of(spec, manifest)) for spec in manifest.signature.inputs]


def feeds_from_rows(
    manifest: Manifest, rows: Sequence[Row], may_leave_out: frozenset[str] = frozenset()
) -> dict[str, Array]:
    """Return the model's input tensors, in signature order, made from rows of named values.

    None, NaN and an absent optional column mean missing. Inputs that `may_leave_out` has may be absent, see
    `RowReader`. Raises InvalidInput that names row and column.
    """
    feeds = RowReader.of(manifest, may_leave_out).feeds(rows)
    for spec, columns in named_inputs(manifest):
        if columns and spec.datatype in FLOATS:
            _refuse_nan(feeds[spec.name], columns)
    return feeds


def rows_from_feeds(manifest: Manifest, feeds: Mapping[str, Array]) -> list[dict[str, Any]]:
    """Return rows that `feeds_from_rows` would make these input tensors from; missing values are None."""
    named = named_inputs(manifest)
    count = next((len(feeds[spec.name]) for spec, _ in named if spec.batched), 1)
    rows: list[dict[str, Any]] = [{} for _ in range(count)]
    for spec, columns in named:
        tensor = feeds[spec.name]
        if columns:
            table = tensor.reshape(count, len(columns)).tolist()
            for row, values in zip(rows, table, strict=True):
                for column, value in zip(columns, values, strict=True):
                    row[column.name] = _missing_as_none(value, column)
        else:
            nested = tensor.tolist() if spec.batched else [tensor.tolist()] * count
            for row, value in zip(rows, nested, strict=True):
                row[spec.name] = value
    return rows


@dataclass(frozen=True, slots=True)
class RowReader:
    """Turns rows into tensors; everything that depends on the model alone is worked out once, by `of`."""

    inputs: tuple["_RowInput", ...]
    names: frozenset[str]
    required: frozenset[str]
    all_or_none: tuple[Column, ...]
    batched: bool

    @classmethod
    def of(cls, manifest: Manifest, may_leave_out: frozenset[str] = frozenset()) -> "RowReader":
        """Return the reader of the rows of one version; inputs of one column `may_leave_out` are optional.

        Those whose type has no value for a missing one are then given in all rows or in none.
        """
        named = named_inputs(manifest)
        inputs = tuple(_row_input(spec, columns) for spec, columns in named)
        names = frozenset(chain.from_iterable(one.names for one in inputs))
        optional = {
            column.name
            for spec, columns in named
            for column in columns
            if fill_of(column, spec.datatype) is not None
        }
        unmarked = may_leave_out - optional
        return cls(
            inputs=inputs,
            names=names,
            required=names - optional - unmarked,
            all_or_none=tuple(column for column in manifest.columns if column.name in unmarked),
            batched=any(one.spec.batched for one in inputs),
        )

    def feeds(self, rows: Sequence[Row]) -> dict[str, Array]:
        """Return the input tensors that `rows` give; raise InvalidInput that names row and column.

        NaN is not looked for in columns of floats, because JSON has none: see `feeds_from_rows`.
        """
        if not rows:
            raise InvalidInput("rows: at least one row is needed")
        if len(rows) > 1 and not self.batched:
            raise InvalidInput(f"rows: this model takes one row at a time and got {len(rows)}")
        width = len(self.names)
        if any(len(row) != width for row in rows):
            rows = self._completed(rows)
        try:
            return self._tensors(rows)
        except KeyError:
            return self._tensors(self._completed(rows))

    def _tensors(self, rows: Sequence[Row]) -> dict[str, Array]:
        inputs = self._given(rows) if self.all_or_none else self.inputs
        return {one.spec.name: one.tensor(rows) for one in inputs}

    def _given(self, rows: Sequence[Row]) -> list["_RowInput"]:
        """Return the inputs without those that no row gives; raise InvalidInput for one that some rows do."""
        absent = {column.name for column in self.all_or_none if not _is_given(column, rows)}
        return [one for one in self.inputs if one.spec.name not in absent]

    def _completed(self, rows: Sequence[Row]) -> list[Row]:
        """Return the rows with None for every optional column that they leave out."""
        for number, row in enumerate(rows):
            unknown, absent = row.keys() - self.names, self.required - row.keys()
            problems = [f"missing {_listed(absent)}"] if absent else []
            if unknown:
                problems.append(f"unknown {_listed(unknown)}; the model has {_listed(self.names)}")
            if problems:
                raise InvalidInput(f"row {number}: {' and '.join(problems)}")
        return [{name: row.get(name) for name in self.names} for row in rows]


@dataclass(frozen=True, slots=True)
class _RowInput:
    """How one input tensor is made from rows: by its columns, or from a nested list under its own name."""

    spec: TensorSpec
    elements: Elements
    has_columns: bool
    names: tuple[str, ...]
    pick: Callable[[Row], Any]
    row_shape: tuple[int, ...]

    def tensor(self, rows: Sequence[Row]) -> Array:
        if not self.has_columns:
            return self._nested_tensor(rows)
        picked = map(self.pick, rows)
        values = list(picked if len(self.names) == 1 else chain.from_iterable(picked))
        shape = (len(rows), *self.row_shape) if self.spec.batched else self.row_shape
        try:
            self.elements.check_types(values)
        except InvalidInput:
            values = list(map(_plain, values))
            self.elements.check_types(values)
        return self.elements.array(values, shape)

    def _nested_tensor(self, rows: Sequence[Row]) -> Array:
        tensors = [self._nested_row(number, self.pick(row)) for number, row in enumerate(rows)]
        if not self.spec.batched:
            return tensors[0]
        if len({tensor.shape for tensor in tensors}) > 1:
            raise InvalidInput(f"input {self.spec.name!r}: its shape differs from row to row")
        return np.stack(tensors)

    def _nested_row(self, number: int, value: Any) -> Array:
        values: list[Any] = []
        place = f"row {number}, input {self.spec.name!r}"
        shape = _flatten(value, values, place, len(self.row_shape))
        if any(want not in (-1, have) for want, have in zip(self.row_shape, shape, strict=True)):
            raise InvalidInput(f"{place}: expected shape {list(self.row_shape)}, got {list(shape)}")
        try:
            self.elements.check_types(values)
            return self.elements.array(values, shape)
        except InvalidInput as error:
            raise InvalidInput(f"row {number}, {error}") from None


def _columns_of(spec: TensorSpec, manifest: Manifest) -> tuple[Column, ...]:
    own = sorted((c for c in manifest.columns if c.input == spec.name), key=lambda c: c.index or 0)
    size = Elements.of(spec, ()).row_size
    covered = [column.index or 0 for column in own] == list(range(size)) if own else False
    return tuple(own) if covered else ()


def _row_input(spec: TensorSpec, columns: tuple[Column, ...]) -> _RowInput:
    names = tuple(column.name for column in columns) or (spec.name,)
    return _RowInput(
        spec=spec,
        elements=Elements.of(spec, columns),
        has_columns=bool(columns),
        names=names,
        pick=itemgetter(*names),
        row_shape=spec.shape[1:] if spec.batched else spec.shape,
    )


def _is_given(column: Column, rows: Sequence[Row]) -> bool:
    """Return whether all rows give a column, or none; raise InvalidInput naming the first that differs."""
    given = [row[column.name] is not None for row in rows]
    if given.count(given[0]) < len(given):
        number = given.index(not given[0])
        differs = (
            "it is not sent, and row 0 sends it" if given[0] else "it is sent, and row 0 does not send it"
        )
        kind = "a boolean" if column.datatype == "BOOL" else "a whole number"
        raise InvalidInput(
            f"row {number}, column {column.name!r}: {differs}; {kind} has no mark for a missing value, so "
            "send the column in every row, split the request, or leave it out"
        )
    return given[0]


def _plain(value: Any) -> Any:
    """Return what data frames hold as plain values: numpy's scalars as Python's, NaN as None."""
    plain = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(plain, float) and plain != plain else plain


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


def _refuse_nan(tensor: Array, columns: tuple[Column, ...]) -> None:
    table = tensor.reshape(-1, len(columns))
    for row, place in np.argwhere(np.isnan(table)).tolist():
        if not columns[place].missing:
            raise InvalidInput(f"row {row}, column {columns[place].name!r}: NaN, and it may not be missing")


def _missing_as_none(value: Any, column: Column) -> Any:
    if column.missing and (value != value or (isinstance(value, str) and value == column.missing_token)):
        return None
    return value


def _listed(names: frozenset[str] | set[str]) -> str:
    first = sorted(names)[:_MOST_NAMED]
    more = f" and {len(names) - len(first)} more" if len(names) > len(first) else ""
    return ("column " if len(names) == 1 else "columns ") + ", ".join(map(shown, first)) + more
