"""Values of output tensors as JSON text, with one policy for numbers that JSON cannot say. Pure."""

import math
from typing import Any

import msgspec
import numpy as np

from driftgate.gateway.errors import NonfiniteAnswer
from driftgate.gateway.wire.inference import Array
from driftgate.gateway.wire.tensor_views import Nonfinite

_ENCODE = msgspec.json.Encoder().encode


def json_of(value: Any) -> bytes:
    """Return a plain value as JSON; NaN and infinities become null."""
    return _ENCODE(value)


def data_as_json(array: Array, datatype: str, output: str, nonfinite: Nonfinite) -> tuple[bytes, int]:
    """Return an output's elements as one flat JSON list, and how many of them JSON cannot say."""
    if datatype == "BYTES":
        return _ENCODE(texts_of(array)), 0
    return numbers_as_json(array, output, nonfinite)


def numbers_as_json(array: Array, output: str, nonfinite: Nonfinite) -> tuple[bytes, int]:
    """Return an output's elements as one flat JSON list, and how many of them are NaN or infinite.

    Those are written as `null` or as the tokens NaN, Infinity and -Infinity; with "error", NonfiniteAnswer is
    raised and names the output and the first of them.
    """
    values = array.ravel().tolist()
    text = _ENCODE(values)
    # the encoder has looked at every number already: the letter n is in its text only where it wrote null
    if b"n" not in text or array.dtype.kind != "f":
        return text, 0
    count = text.count(b"null")
    if nonfinite == "error":
        refuse_nonfinite(values, output)
    if nonfinite == "token":
        text = b"[" + ",".join(map(token, values)).encode() + b"]"
    return text, count


def count_nonfinite(array: Array) -> int:
    """Return how many elements are NaN or infinite; none in an array that is not of floating point."""
    return int(array.size - np.count_nonzero(np.isfinite(array))) if array.dtype.kind == "f" else 0


def holds_nonfinite(array: Array) -> bool:
    """Tell whether an element is NaN or infinite."""
    # Looking for a byte takes a quarter of the time that numpy needs to reduce a few elements.
    return array.dtype.kind == "f" and b"\0" in np.isfinite(array).tobytes()


def token(value: float) -> str:
    """Return a number as JSON text, with the tokens that Python and JavaScript use where JSON has none."""
    if math.isfinite(value):
        return _ENCODE(value).decode()
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def refuse_nonfinite(values: list[float], output: str) -> None:
    """Raise NonfiniteAnswer naming the first value of `output` that is not finite, if there is one."""
    for index, value in enumerate(values):
        if not math.isfinite(value):
            raise NonfiniteAnswer(
                f"output {output!r}, index {index} is {token(value)}, which this model's settings do not "
                "allow in JSON answers"
            )


def texts_of(array: Array) -> list[str]:
    """Return the strings of a BYTES output, flat; bytes that are not UTF-8 lose what cannot be read."""
    return [
        element.decode(errors="replace") if isinstance(element, bytes) else str(element)
        for element in array.ravel().tolist()
    ]
