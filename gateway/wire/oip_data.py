"""The `data` of one JSON tensor, flat or nested row-major, as an array; before it, its shape. Pure."""

from typing import Any, NoReturn

import msgspec
from msgspec import Raw

from driftgate.gateway.errors import BadRequest, TooLarge
from driftgate.gateway.wire.inference import Array
from driftgate.gateway.wire.oip_envelope import UNDECODABLE
from driftgate.gateway.wire.tensor_views import InputView, ParseLimits
from driftgate.models.schema.elements import shown

_MAX_COUNT = 2**63 - 1
_MOST_SHOWN = 33
_PARTS = msgspec.json.Decoder(list[Raw])


def rows_and_count(
    spec: InputView, shape: tuple[int, ...], model: str, limits: ParseLimits
) -> tuple[int, int]:
    """Return how many rows (1 where the input has no row dimension) and elements `shape` holds.

    Raises BadRequest where the shape does not fit the input, TooLarge beyond the limit of rows.
    """
    if shape and shape[1:] == spec.tail and 0 < shape[0] <= limits.max_rows:
        return shape[0], shape[0] * spec.row_size
    if len(shape) != len(spec.shape):
        _refuse_shape(spec, shape, model)
    count = 1
    for have, want in zip(shape, spec.shape, strict=True):
        if have != want if want >= 0 else have < 1:
            _refuse_shape(spec, shape, model)
        count *= have
    rows = shape[0] if spec.batched else 1
    if rows > limits.max_rows:
        raise TooLarge(f"input {spec.name!r} has {shown(rows)} rows; one request may have {limits.max_rows}")
    if count > _MAX_COUNT:
        _refuse_shape(spec, shape, model)
    return rows, count


def array_from_json(spec: InputView, data: Raw, shape: tuple[int, ...], count: int) -> Array:
    """Return the tensor that `data` spells; `shape` fits the input and holds `count` elements.

    Raises BadRequest or InvalidInput naming the input and the index, or row and column, of what is wrong.
    """
    try:
        values = spec.decode(data)
    except UNDECODABLE:
        values = _Unfolding(spec, shape).values_of(data)
    if len(values) != count:
        raise BadRequest(
            f"input {spec.name!r}: shape {list(shape)} asks for {count} values and data has {len(values)}"
        )
    return spec.elements.array(values, shape)


class _Unfolding:
    """Flattens nested data level by level, so that what a shape does not allow is never decoded."""

    __slots__ = ("_shape", "_spec", "_values")

    def __init__(self, spec: InputView, shape: tuple[int, ...]) -> None:
        self._spec = spec
        self._shape = shape
        self._values: list[Any] = []

    def values_of(self, data: Raw) -> list[Any]:
        parts = self._parts(data, "data")
        if _is_list(parts):
            self._nested(parts, 0, "data")
        else:
            self._flat(data, parts)
        return self._values

    def _nested(self, parts: list[Raw], depth: int, place: str) -> None:
        if depth + 2 > len(self._shape):
            self._refuse(f"{place} is nested deeper than the shape")
        if len(parts) != self._shape[depth]:
            self._refuse(f"{place} has {len(parts)} elements where the shape asks for {self._shape[depth]}")
        last = depth + 2 == len(self._shape)
        for index, part in enumerate(parts):
            if last:
                self._row(part, f"{place}[{index}]")
            else:
                here = f"{place}[{index}]"
                self._nested(self._parts(part, here), depth + 1, here)

    def _row(self, data: Raw, place: str) -> None:
        before = len(self._values)
        try:
            self._values += self._spec.decode(data)
        except UNDECODABLE:
            parts = self._parts(data, place)
            if _is_list(parts):
                self._refuse(f"{place} is nested deeper than the shape")
            self._flat(data, parts)
        found, wanted = len(self._values) - before, self._shape[-1]
        if found != wanted:
            self._refuse(f"{place} has {found} values where the shape asks for {wanted}")

    def _flat(self, data: Raw, parts: list[Raw]) -> None:
        """Decode a flat list that was refused as a whole, to name the element that is wrong."""
        for part in parts:
            try:
                self._values += self._spec.decode(b"[%b]" % bytes(part))
            except UNDECODABLE:
                elements = self._spec.elements
                elements.refuse(len(self._values), f"{_spelled(part)} is not {elements.wanted}")

    def _parts(self, data: Raw, place: str) -> list[Raw]:
        try:
            return _PARTS.decode(data)
        except UNDECODABLE:
            self._refuse(f"{place} must be a list of values, flat or nested like the shape")

    def _refuse(self, problem: str) -> NoReturn:
        raise BadRequest(f"input {self._spec.name!r}, shape {list(self._shape)}: {problem}")


def _is_list(parts: list[Raw]) -> bool:
    return bool(parts) and memoryview(parts[0])[0] == ord("[")


def _spelled(part: Raw) -> str:
    return shown(bytes(memoryview(part)[:80]).decode(errors="replace"))


def _refuse_shape(spec: InputView, shape: tuple[int, ...], model: str) -> NoReturn:
    got = shown(list(shape[:_MOST_SHOWN]))
    wanted = list(spec.shape)
    why = "; every dimension must be at least 1" if any(size < 1 for size in shape) else ""
    raise BadRequest(
        f"unexpected shape for input {spec.name!r} for model {model!r}. Expected {wanted}, got {got}{why}"
    )
