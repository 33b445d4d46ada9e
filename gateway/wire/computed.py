"""What one call of a model gave, shared by the requests whose rows it computed."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from driftgate.gateway.wire.inference import Array
from driftgate.gateway.wire.json_text import holds_nonfinite, json_of


class RowLayout(NamedTuple):
    """What each row of an output looks like; texts have the dtype `object`."""

    tail: tuple[int, ...]
    dtype: "np.dtype[Any]"


Layouts = tuple[RowLayout, ...]


class Computed:
    """Inputs and outputs of one call by name, in signature order, over the rows of all its requests."""

    __slots__ = ("_nonfinite", "_raws", "_texts", "inputs", "outputs")

    def __init__(self, inputs: Mapping[str, Array], outputs: Mapping[str, Array]) -> None:
        self.inputs = inputs
        self.outputs = outputs
        self._texts: tuple[list[bytes], ...] | None = None
        self._raws: tuple[tuple[bytes, int], ...] | None = None
        self._nonfinite: list[Array] | None = None

    def texts(self, layouts: Layouts) -> tuple[list[bytes], ...]:
        """Return, for each output, the elements of each of its rows as JSON, without brackets.

        Every output is written once and cut at its rows. Empty where that cannot be done: outputs of another
        layout, text, and numbers that JSON cannot say.
        """
        if self._texts is None:
            self._texts = _texts_of(self.outputs, layouts)
        return self._texts

    def raws(self, layouts: Layouts) -> tuple[tuple[bytes, int], ...]:
        """Return the bytes of each output and how many a row has. Empty where an output has another layout.

        Outputs of text have no bytes.
        """
        if self._raws is None:
            self._raws = _raws_of(self.outputs, layouts)
        return self._raws

    def holds_nonfinite(self, first: int, last: int | None) -> bool:
        """Tell whether NaN or an infinity is in rows `first` to `last` (None: all) of an output.

        The whole call is looked at once; most hold none.
        """
        if self._nonfinite is None:
            self._nonfinite = [array for array in self.outputs.values() if holds_nonfinite(array)]
        return bool(self._nonfinite) and any(holds_nonfinite(array[first:last]) for array in self._nonfinite)


class InferenceResult:
    """The rows of one request (`first` to `last` of a call, None: all of it), and who computed them."""

    __slots__ = ("_computed", "_first", "_last", "prediction_id", "version")

    def __init__(
        self, version: int, prediction_id: str, computed: Computed, first: int = 0, last: int | None = None
    ) -> None:
        self.version = version
        self.prediction_id = prediction_id
        self._computed = computed
        self._first = first
        self._last = last

    def array(self, output: str) -> Array:
        """Return one output."""
        whole = self._computed.outputs[output]
        return whole if self._last is None else whole[self._first : self._last]

    def texts(self, layouts: Layouts) -> list[bytes]:
        """Return the elements of each output as JSON without brackets; empty as in `Computed.texts`."""
        first, last = self._first, self._last
        if last == first + 1:
            return [texts[first] for texts in self._computed.texts(layouts)]
        return [b",".join(texts[first:last]) for texts in self._computed.texts(layouts)]

    def raws(self, layouts: Layouts) -> list[bytes]:
        """Return the bytes of each output; empty as in `Computed.raws`."""
        first, last = self._first, self._last
        raws = self._computed.raws(layouts)
        if last is None:
            return [data for data, _ in raws]
        return [data[first * size : last * size] for data, size in raws]


def _raws_of(outputs: Mapping[str, Array], layouts: Layouts) -> tuple[tuple[bytes, int], ...]:
    found = []
    for array, (tail, dtype) in zip(outputs.values(), layouts, strict=True):
        if array.shape[1:] != tail or array.dtype != dtype or not array.size:
            return ()
        data = b"" if dtype.hasobject else array.tobytes()
        found.append((data, len(data) // len(array)))
    return tuple(found)


def _texts_of(outputs: Mapping[str, Array], layouts: Layouts) -> tuple[list[bytes], ...]:
    found = []
    for array, (tail, _) in zip(outputs.values(), layouts, strict=True):
        if array.shape[1:] != tail or array.dtype == object or not array.size:
            return ()
        text = json_of(array.tolist())
        if array.dtype.kind == "f" and b"n" in text:
            return ()
        found.append(text[2:-2].split(b"],[") if tail else text[1:-1].split(b","))
    return tuple(found)
