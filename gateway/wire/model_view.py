"""What the codecs need to know about one model version, worked out once when it is loaded."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import msgspec
import numpy as np

from driftgate.gateway.errors import TooLarge
from driftgate.gateway.wire.inference import RequestedOutput
from driftgate.models.client_manifest import client_manifest, optional_inputs
from driftgate.models.columns import RowReader
from driftgate.models.elements import Elements
from driftgate.models.manifest import Label, Manifest
from driftgate.models.signature import DATATYPES, FLOATS, Signature, TensorSpec

MAX_TEMPLATE_ROWS = 16

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
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    batched: bool
    head: bytes
    text_head: bytes
    labels: tuple[str, ...]

    @classmethod
    def of(cls, spec: TensorSpec, labels: tuple[str, ...]) -> "OutputView":
        """Return the view of the output `spec`."""
        begin = b'{"name":%b,"datatype":"%b","shape":'
        name = msgspec.json.encode(spec.name)
        head = begin % (name, spec.datatype.encode())
        return cls(spec.name, spec.datatype, spec.shape, spec.batched, head, begin % (name, b"BYTES"), labels)


@dataclass(frozen=True, slots=True)
class ModelView:
    """One model version as the codecs see it: its inputs are what clients send, see `client_manifest`.

    `head` is the part of a JSON answer that names it. Inputs that are `optional` may be left out.

    `batched` says that every input and output counts rows in its first dimension; `independent_rows` that
    rows of several requests may be computed together. Versions with the same `contract` (a hash of signature
    and columns) read every request alike; the signature alone does not tell, since columns may trade places.
    `templates[rows]` is the JSON answer with all outputs of so many rows, with places for the id and for each
    output's elements; it fits outputs whose shapes end in `tails`. It is empty where shapes vary.
    """

    name: str
    version: int
    signature: Signature
    contract: bytes
    batched: bool
    independent_rows: bool
    input_names: tuple[str, ...]
    optional: frozenset[str]
    output_names: tuple[str, ...]
    inputs: dict[str, InputView]
    outputs: dict[str, OutputView]
    rows: RowReader
    head: bytes
    templates: tuple[bytes, ...]
    tails: tuple[tuple[int, ...], ...]
    json_outputs: tuple[RequestedOutput, ...]
    binary_outputs: tuple[RequestedOutput, ...]

    @classmethod
    def of(cls, manifest: Manifest) -> "ModelView":
        """Return the view of the version that `manifest` describes."""
        client, optional = client_manifest(manifest), optional_inputs(manifest)
        signature = client.signature
        output_names = tuple(spec.name for spec in signature.outputs)
        outputs = {spec.name: OutputView.of(spec, _labels(manifest, spec)) for spec in signature.outputs}
        head = b'"model_name":"%b","model_version":"%d"' % (manifest.name.encode(), manifest.version)
        return cls(
            name=manifest.name,
            version=manifest.version,
            signature=signature,
            contract=hashlib.sha256(
                msgspec.json.encode((signature, client.columns, sorted(optional)))
            ).digest(),
            batched=signature.batched,
            independent_rows=manifest.independent_rows,
            input_names=tuple(spec.name for spec in signature.inputs),
            optional=optional,
            output_names=output_names,
            inputs={
                spec.name: InputView.of(spec, Elements.of(spec, client.columns)) for spec in signature.inputs
            },
            outputs=outputs,
            rows=RowReader.of(client),
            head=head,
            templates=_templates(head, outputs),
            tails=tuple(view.shape[1:] for view in outputs.values()),
            json_outputs=tuple(RequestedOutput(name) for name in output_names),
            binary_outputs=tuple(RequestedOutput(name, binary=True) for name in output_names),
        )

    def requested_all(self, binary: bool) -> tuple[RequestedOutput, ...]:
        """Return all outputs, as a client that names none asks for them."""
        return self.binary_outputs if binary else self.json_outputs


def _templates(head: bytes, outputs: Mapping[str, OutputView]) -> tuple[bytes, ...]:
    views = outputs.values()
    if not all(view.batched and len(view.shape) <= 2 and -1 not in view.shape[1:] for view in views):
        return ()
    return tuple(
        b'{"id":"%%b",%b,"outputs":[%b]}'
        % (_literal(head), b",".join([_output_template(view, rows) for view in views]))
        for rows in range(MAX_TEMPLATE_ROWS + 1)
    )


def _output_template(view: OutputView, rows: int) -> bytes:
    shape = msgspec.json.encode((rows, *view.shape[1:]))
    return b'%b%b,"data":[%%b]}' % (_literal(view.head), shape)


def _literal(text: bytes) -> bytes:
    return text.replace(b"%", b"%%")


def _labels(manifest: Manifest, spec: TensorSpec) -> tuple[str, ...]:
    task = manifest.task
    probabilities = {output.name for output in task.outputs if output.role == "probabilities"}
    if spec.name not in probabilities or task.classes is None:
        return ()
    return tuple(map(_label_text, task.classes))


def _label_text(label: Label) -> str:
    return label if isinstance(label, str) else msgspec.json.encode(label).decode()


def _decoder_of(datatype: str) -> Decode:
    if datatype in FLOATS:
        return msgspec.json.Decoder(list[float | None]).decode
    if datatype == "BOOL":
        return msgspec.json.Decoder(list[bool | int | None]).decode
    if datatype == "BYTES":
        return msgspec.json.Decoder(list[str | None]).decode
    return msgspec.json.Decoder(list[int | None]).decode
