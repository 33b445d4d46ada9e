"""What one call of a model gave, shared by the requests whose rows it computed."""

from collections.abc import Mapping

from driftgate.gateway.inference import Array
from driftgate.gateway.json_text import json_of


class Computed:
    """Inputs and outputs of one call by name, in signature order, over the rows of all its requests."""

    __slots__ = ("_texts", "inputs", "outputs")

    def __init__(self, inputs: Mapping[str, Array], outputs: Mapping[str, Array]) -> None:
        self.inputs = inputs
        self.outputs = outputs
        self._texts: dict[str, list[bytes] | None] = {}

    def texts(self, output: str) -> list[bytes] | None:
        """Return the elements of each row of one output as JSON, without brackets.

        The whole output is written once and cut at its rows. None where that cannot be done: text, numbers
        that JSON cannot say, more than two dimensions.
        """
        if output not in self._texts:
            self._texts[output] = _texts_of(self.outputs[output])
        return self._texts[output]


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

    def text(self, output: str) -> bytes | None:
        """Return the elements of one output as a flat JSON list, or None as `Computed.texts` does."""
        texts = self._computed.texts(output)
        if texts is None:
            return None
        return b"[%b]" % b",".join(texts[self._first : self._last])


def _texts_of(array: Array) -> list[bytes] | None:
    if array.ndim not in (1, 2) or array.dtype == object or not array.size:
        return None
    text = json_of(array.tolist())
    if array.dtype.kind == "f" and b"n" in text:
        return None
    return text[1:-1].split(b",") if array.ndim == 1 else text[2:-2].split(b"],[")
