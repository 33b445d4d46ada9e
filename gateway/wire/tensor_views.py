"""The inputs and outputs of a model version as codecs see them, worked out once when it is loaded."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import msgspec
import numpy as np

from driftgate.gateway.errors import TooLarge
from driftgate.models.schema.elements import Elements
from driftgate.models.schema.signature import DATATYPES, FLOATS, TensorSpec

Decode = Callable[[Any], list[Any]]
Nonfinite = Literal["null", "token", "error"]


class EncodedAnswer(NamedTuple):
    """The bytes of an answer. `json_length` is None where no part of it is binary; `nonfinite` counts the
    NaN and infinite numbers that JSON cannot say.
    """

    body: bytes
    json_length: int | None = None
    nonfinite: int = 0


@dataclass(frozen=True, slots=True)
class ParseLimits:
    """What one request may ask for, whatever its protocol."""

    max_rows: int = 100_000
    max_json_bytes: int = 16 * 2**20

    def check_text(self, size_bytes: int) -> None:
        """Raise TooLarge for JSON and strings that would hold up all other requests while they are read."""
        if size_bytes > self.max_json_bytes:
            raise TooLarge(
                f"the request has {size_bytes} bytes of JSON and strings and may have {self.max_json_bytes}; "
                "send numbers as binary data, or fewer rows"
            )


@dataclass(frozen=True, slots=True)
class InputView:
    """One input: its spec, its elements, and the typed decoder of a flat JSON list of them.

    `tail` is the shape of a row where that is fixed, else None; `size_bytes` is 0 for BYTES.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    batched: bool
    tail: tuple[int, ...] | None
    row_size: int
    dtype: np.dtype[Any]
    size_bytes: int
    elements: Elements
    decode: Decode

    @classmethod
    def of(cls, spec: TensorSpec, elements: Elements) -> "InputView":
        """Return the view of the input `spec`."""
        tail = spec.shape[1:] if spec.batched and spec.row_size >= 0 else None
        row = DATATYPES[spec.datatype]
        return cls(
            name=spec.name,
            datatype=spec.datatype,
            shape=spec.shape,
            batched=spec.batched,
            tail=tail,
            row_size=spec.row_size,
            dtype=row.dtype,
            size_bytes=row.size_bytes,
            elements=elements,
            decode=_decoder_of(spec.datatype),
        )


@dataclass(frozen=True, slots=True)
class OutputView:
    """One output: its spec, what its JSON begins with, and the labels of its columns if it is probabilities.

    `text_head` begins the output's JSON where it is given as text, by the classification extension.
    `row_bytes` are those of a row as raw bytes, where its shape is fixed and it is no text.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    batched: bool
    dtype: np.dtype[Any]
    row_bytes: int
    head: bytes
    text_head: bytes
    labels: tuple[str, ...]

    @classmethod
    def of(cls, spec: TensorSpec, labels: tuple[str, ...]) -> "OutputView":
        """Return the view of the output `spec`."""
        begin = b'{"name":%b,"datatype":"%b","shape":'
        name = msgspec.json.encode(spec.name)
        head = begin % (name, spec.datatype.encode())
        row = DATATYPES[spec.datatype]
        return cls(
            name=spec.name,
            datatype=spec.datatype,
            shape=spec.shape,
            batched=spec.batched,
            dtype=row.dtype,
            row_bytes=row.size_bytes * spec.row_size,
            head=head,
            text_head=begin % (name, b"BYTES"),
            labels=labels,
        )


def _decoder_of(datatype: str) -> Decode:
    if datatype in FLOATS:
        return msgspec.json.Decoder(list[float | None]).decode
    if datatype == "BOOL":
        return msgspec.json.Decoder(list[bool | int | None]).decode
    if datatype == "BYTES":
        return msgspec.json.Decoder(list[str | None]).decode
    return msgspec.json.Decoder(list[int | None]).decode
