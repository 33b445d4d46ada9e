"""What one call of a model gave, shared by the requests whose rows it computed."""

from collections.abc import Mapping

from driftgate.gateway.wire.inference import Array
from driftgate.gateway.wire.json_text import json_of


class Computed:
    """Inputs and outputs of one call by name, in signature order, over the rows of all its requests."""

    __slots__ = ("_texts", "inputs", "outputs")

    def __init__(self, inputs: Mapping[str, Array], outputs: Mapping[str, Array]) -> None:
        self.inputs = inputs
        self.outputs = outputs
        self._texts: tuple[list[bytes], ...] | None = None

    def texts(self, tails: tuple[tuple[int, ...], ...]) -> tuple[list[bytes], ...]:
        """Return, for each output, the elements of each of its rows as JSON, without brackets.

        Every output is written once and cut at its rows. Empty where that cannot be done: outputs whose
        shapes do not end in `tails`, text, and numbers that JSON cannot say.
        """
        if self._texts is None:
            self._texts = _texts_of(self.outputs, tails)
        return self._texts


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

    def texts(self, tails: tuple[tuple[int, ...], ...]) -> list[bytes]:
        """Return the elements of each output as JSON without brackets; empty as in `Computed.texts`."""
        first, last = self._first, self._last
        if last == first + 1:
            return [texts[first] for texts in self._computed.texts(tails)]
        return [b",".join(texts[first:last]) for texts in self._computed.texts(tails)]


def _texts_of(outputs: Mapping[str, Array], tails: tuple[tuple[int, ...], ...]) -> tuple[list[bytes], ...]:
    found = []
    for array, tail in zip(outputs.values(), tails, strict=True):
        if array.shape[1:] != tail or array.dtype == object or not array.size:
            return ()
        text = json_of(array.tolist())
        if array.dtype.kind == "f" and b"n" in text:
            return ()
        found.append(text[2:-2].split(b"],[") if tail else text[1:-1].split(b","))
    return tuple(found)
