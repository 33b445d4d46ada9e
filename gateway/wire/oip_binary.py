"""Tensors as raw bytes: little-endian, row-major, unpadded; strings with a 32-bit length in front. Pure."""

import struct
from typing import Any

import numpy as np

from driftgate.gateway.errors import BadRequest
from driftgate.gateway.wire.inference import Array
from driftgate.gateway.wire.tensor_views import InputView
from driftgate.models.schema.elements import shown
from driftgate.models.schema.signature import DATATYPES

_LENGTH = struct.Struct("<I")


class Span:
    """Where the bytes of one tensor lie in a body."""

    __slots__ = ("size", "start")

    def __init__(self, start: int, size: int) -> None:
        self.start = start
        self.size = size


def array_from_bytes(spec: InputView, body: bytes, span: Span, shape: tuple[int, ...], count: int) -> Array:
    """Return the tensor in `span` of `body`; `shape` holds `count` elements.

    Numbers are a view of the body, not a copy, where they lie aligned. Raises BadRequest naming the input.
    """
    if span.size < 0:
        raise BadRequest(
            f"input {spec.name!r}: binary_data_size must not be negative, got {shown(span.size)}"
        )
    missing = span.start + span.size - len(body)
    if missing > 0:
        raise BadRequest(
            f"unexpected size for input {spec.name!r}, expecting {shown(missing)} additional bytes"
        )
    if not spec.size_bytes:
        return np.array(_texts(spec, body, span, count), object).reshape(shape)
    wanted = count * spec.size_bytes
    if span.size != wanted:
        raise BadRequest(_misfit(spec, shape, wanted, span.size))
    array: Array = np.ndarray(shape, spec.dtype, body, span.start)
    if spec.datatype == "BOOL":
        _check_booleans(spec, body, span)
    elif span.start % spec.size_bytes:
        # kernels may use instructions that fault on unaligned addresses; bytes objects begin aligned
        return array.copy()
    return array


def bytes_from_array(array: Array, datatype: str) -> bytes:
    """Return the raw bytes of an output tensor of this protocol datatype."""
    if datatype != "BYTES":
        return array.astype(DATATYPES[datatype].dtype, copy=False).tobytes()
    parts: list[bytes] = []
    for element in array.ravel().tolist():
        encoded = element if isinstance(element, bytes) else str(element).encode()
        parts += (_LENGTH.pack(len(encoded)), encoded)
    return b"".join(parts)


def _misfit(spec: InputView, shape: tuple[int, ...], wanted: int, found: int) -> str:
    needs = f"shape {list(shape)} of {spec.datatype} takes {wanted} bytes and {found} are given"
    if found > wanted:
        return f"unexpected additional input data for input {spec.name!r}: {needs}"
    more = wanted - found
    return f"unexpected size for input {spec.name!r}, expecting {more} additional bytes: {needs}"


def _check_booleans(spec: InputView, body: bytes, span: Span) -> None:
    numbers: np.ndarray[Any, np.dtype[np.uint8]] = np.frombuffer(body, np.uint8, span.size, span.start)
    if span.size and numbers.max() > 1:
        index = int(np.argmax(numbers > 1))
        spec.elements.refuse(index, f"byte {int(numbers[index])} is not a BOOL; use 0 or 1")


def _texts(spec: InputView, body: bytes, span: Span, count: int) -> list[str]:
    end = span.start + span.size
    lengths = count * _LENGTH.size
    if lengths > span.size:
        raise BadRequest(
            f"unexpected size for input {spec.name!r}, expecting {lengths - span.size} additional bytes: "
            f"{count} strings take at least {lengths} bytes and {span.size} are given"
        )
    texts: list[str] = []
    at = span.start
    for index in range(count):
        first = at + _LENGTH.size
        at = first + _LENGTH.unpack_from(body, at)[0] if first <= end else end + 1
        if at > end:
            spec.elements.refuse(index, "this string goes past the end of its tensor")
        texts.append(text_of(spec, index, body[first:at]))
    if at != end:
        raise BadRequest(
            f"unexpected additional input data for input {spec.name!r}: {end - at} bytes follow its strings"
        )
    return texts


def text_of(spec: InputView, index: int, encoded: bytes) -> str:
    try:
        return encoded.decode()
    except UnicodeDecodeError:
        spec.elements.refuse(index, "this string is not UTF-8")
