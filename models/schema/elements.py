"""Plain values become the elements of one input tensor: the one place that knows what may stand where.

JSON tensors and named rows both end here, so that a value means the same however it came. Pure.
"""

import math
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np

from driftgate.models.errors import InvalidInput
from driftgate.models.schema.manifest import Column
from driftgate.models.schema.signature import DATATYPES, FLOATS, TensorSpec

Array = np.ndarray[Any, np.dtype[Any]]
Shape = Sequence[int]

# struct packs faster than np.array converts, and refuses what is out of range instead of warning or wrapping
_PACK_CODES = {
    "UINT8": "B",
    "UINT16": "H",
    "UINT32": "I",
    "UINT64": "Q",
    "INT8": "b",
    "INT16": "h",
    "INT32": "i",
    "INT64": "q",
    "FP16": "e",
    "FP32": "f",
    "FP64": "d",
}
_ALLOWED_TYPES: dict[str, frozenset[type]] = {
    "b": frozenset({bool, int, type(None)}),
    "i": frozenset({int, type(None)}),
    "u": frozenset({int, type(None)}),
    "f": frozenset({float, int, type(None)}),
    "O": frozenset({str, type(None)}),
}
_WANTED = {
    "b": "true, false, 0 or 1",
    "i": "a whole number written without fraction or exponent",
    "u": "a whole number written without fraction or exponent",
    "f": "a number",
    "O": "a string",
}


@dataclass(frozen=True, slots=True)
class Elements:
    """How the elements of one input are made from plain values.

    `columns` has the name of every element of a row (empty where the input has no columns), and `fills` what
    a missing value becomes there: NaN, the declared token, or None where nothing may be missing.
    """

    name: str
    datatype: str
    dtype: np.dtype[Any]
    pack_code: str
    row_size: int
    columns: tuple[str, ...]
    fills: tuple[float | str | None, ...]

    @classmethod
    def of(cls, spec: TensorSpec, columns: Iterable[Column]) -> "Elements":
        """Return the elements of the input `spec`; columns of other inputs are passed over."""
        row_size = spec.row_size if spec.batched else math.prod(spec.shape)
        own = [column for column in columns if column.input == spec.name]
        names = [f"{spec.name}[{index}]" for index in range(row_size)] if own else []
        fills: list[float | str | None] = [None] * len(names)
        for column in own:
            place = column.index or 0
            if place < len(names):
                names[place], fills[place] = column.name, fill_of(column, spec.datatype)
        return cls(
            name=spec.name,
            datatype=spec.datatype,
            dtype=DATATYPES[spec.datatype].dtype,
            pack_code=_PACK_CODES.get(spec.datatype, ""),
            row_size=row_size,
            columns=tuple(names),
            fills=tuple(fills),
        )

    @property
    def wanted(self) -> str:
        """What an element may be, in words."""
        return _WANTED[self.dtype.kind]

    def array(self, values: Sequence[Any], shape: Shape) -> Array:
        """Return `values` (row-major, exactly as many as `shape` holds) as an array of the input's dtype.

        The values' types must be right already, see `check_types`; None means missing. Raises InvalidInput
        that names the place of a value which is missing where it must not be, or outside the dtype.
        """
        code = self.pack_code
        if not code:
            return self._objects(values, shape)
        try:
            packed = struct.pack(f"<{len(values)}{code}", *values)
        except (struct.error, OverflowError):
            packed = self._pack_checked(self._filled(values))
        return np.ndarray(shape, self.dtype, packed)

    def check_types(self, values: Sequence[Any]) -> None:
        """Raise InvalidInput for the first value that is of another type than this input's elements."""
        allowed = _ALLOWED_TYPES[self.dtype.kind]
        if not allowed.issuperset(map(type, values)):
            index = next(i for i, value in enumerate(values) if type(value) not in allowed)
            self.refuse(index, f"{shown(values[index])} is not {self.wanted}")

    def place(self, index: int) -> str:
        """Return where element `index` stands, in words: input, and row and column or index."""
        if not self.columns:
            return f"input {self.name!r}, index {index}"
        row, column = divmod(index, self.row_size)
        return f"input {self.name!r}, row {row}, column {self.columns[column]!r}"

    def refuse(self, index: int, problem: str) -> NoReturn:
        """Raise InvalidInput that names the place of element `index`."""
        raise InvalidInput(f"{self.place(index)}: {problem}")

    def _filled(self, values: Sequence[Any]) -> list[Any]:
        fills, row_size = self.fills, self.row_size
        result = list(values)
        for index, value in enumerate(values):
            if value is None:
                fill = fills[index % row_size] if fills else None
                if fill is None:
                    self.refuse(index, "null stands for a missing value, and this one may not be missing")
                result[index] = fill
        return result

    def _pack_checked(self, values: Sequence[Any]) -> bytes:
        try:
            return struct.pack(f"<{len(values)}{self.pack_code}", *values)
        except (struct.error, OverflowError):
            index = next(i for i, value in enumerate(values) if not self._packs(value))
            self.refuse(index, f"{shown(values[index])} is outside {self.datatype}")

    def _packs(self, value: Any) -> bool:
        try:
            struct.pack(f"<{self.pack_code}", value)
        except (struct.error, OverflowError):
            return False
        return True

    def _objects(self, values: Sequence[Any], shape: Shape) -> Array:
        if None in values:
            values = self._filled(values)
        if self.datatype == "BOOL" and not {0, 1}.issuperset(values):
            index = next(i for i, value in enumerate(values) if value not in (0, 1))
            self.refuse(index, f"{shown(values[index])} is not {self.wanted}")
        if len(values) == 1:  # such as the key of an entity; a third of the time of the other way
            return np.array(values[0], self.dtype, ndmin=len(shape))
        return np.array(values, self.dtype).reshape(shape)


def shown(value: object) -> str:
    """Return a value that a client sent as text that is short and cannot forge a log line."""
    try:
        text = ascii(value)
    except ValueError:  # whole numbers past 4,300 digits have no text
        text = "a number of thousands of digits"
    return text if len(text) <= 60 else text[:57] + "..."


def fill_of(column: Column, datatype: str) -> float | str | None:
    """Return what a missing value of `column` becomes in a tensor of `datatype`; None where it may not be."""
    if not column.missing:
        return None
    if datatype in FLOATS:
        return math.nan
    return column.missing_token if datatype == "BYTES" else None
