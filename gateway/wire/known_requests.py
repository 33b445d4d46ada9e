"""Requests that were read before: where only their numbers differ, only those are read again.

Clients repeat themselves: all but the elements of their tensors is the same in request after request. What
is known was read by the general way, so it means what the same bytes meant then.
"""

from typing import NamedTuple

from msgspec import UNSET, Raw

from driftgate.gateway.errors import BadRequest
from driftgate.gateway.wire.inference import Array, InferenceRequest, RequestedOutput
from driftgate.gateway.wire.oip_binary import Span, array_from_bytes
from driftgate.gateway.wire.oip_envelope import UNDECODABLE, Envelope, InputTensor, decode_envelope
from driftgate.gateway.wire.tensor_views import InputView

MAX_KNOWN = 512
MAX_BYTES = 1024
_DATA = b'"data":'
_PROBE = b"[7,[]]"
"""A value that no tensor has, as it is neither flat nor regular: it cannot be mistaken for what was sent."""


class _Meaning(NamedTuple):
    """What a request asks for beside its tensors."""

    rows: int
    outputs: tuple[RequestedOutput, ...] | None
    binary_output: bool
    timeout_us: int
    sequence_id: str

    @classmethod
    def of(cls, request: InferenceRequest) -> "_Meaning":
        return cls(
            request.rows, request.outputs, request.binary_output, request.timeout_us, request.sequence_id
        )

    def request(self, inputs: dict[str, Array]) -> InferenceRequest:
        rows, outputs, binary_output, timeout_us, sequence_id = self
        return InferenceRequest(inputs, rows, "", outputs, binary_output, timeout_us, sequence_id)


class _Json(NamedTuple):
    """One tensor as JSON: the text before its elements is known, `tail` comes after them."""

    tail: bytes
    spec: InputView
    shape: tuple[int, ...]
    elements: int
    meaning: _Meaning


class _Tensor(NamedTuple):
    spec: InputView
    span: Span
    shape: tuple[int, ...]
    elements: int


class _Binary(NamedTuple):
    """Tensors as bytes behind JSON that is known, in a body of this size."""

    size_bytes: int
    tensors: tuple[_Tensor, ...]
    meaning: _Meaning


class KnownRequests:
    """What one model version was asked before. Forgets all when there is too much of it."""

    def __init__(self, inputs: dict[str, InputView]) -> None:
        self._inputs = inputs
        self._json: dict[bytes, _Json] = {}
        self._binary: dict[bytes, _Binary] = {}

    def __len__(self) -> int:
        return len(self._json) + len(self._binary)

    def read_json(self, body: bytes) -> InferenceRequest | None:
        """Return the request, or None where it is to be read the general way, be it unknown or wrong.

        Raises InvalidInput for a number that the input cannot hold.
        """
        start = body.find(_DATA, 0, MAX_BYTES) + len(_DATA)
        known = self._json.get(body[:start])
        if known is None or not body.endswith(known.tail):
            return None
        spec = known.spec
        try:
            values = spec.decode(body[start : len(body) - len(known.tail)])
        except UNDECODABLE:
            return None
        if len(values) != known.elements:
            return None
        return known.meaning.request({spec.name: spec.elements.array(values, known.shape)})

    def read_binary(self, body: bytes, end: int) -> InferenceRequest | None:
        """Return the request whose JSON ends at `end`, or None as in `read_json`."""
        known = self._binary.get(body[:end]) if end <= MAX_BYTES else None
        if known is None or known.size_bytes != len(body):
            return None
        inputs = {
            spec.name: array_from_bytes(spec, body, span, shape, count)
            for spec, span, shape, count in known.tensors
        }
        return known.meaning.request(inputs)

    def learn(self, envelope: Envelope, request: InferenceRequest, body: bytes, end: int) -> None:
        """Remember a request that was read the general way, if there will be others like it."""
        if request.id:
            return
        tensors = envelope.inputs
        if len(tensors) == 1 and tensors[0].data is not UNSET:
            self._learn_json(envelope, tensors[0], request, body)
        elif end < len(body) and end <= MAX_BYTES and all(tensor.data is UNSET for tensor in tensors):
            self._learn_binary(tensors, request, body, end)

    def _learn_json(
        self, envelope: Envelope, tensor: InputTensor, request: InferenceRequest, body: bytes
    ) -> None:
        start = body.find(_DATA, 0, MAX_BYTES) + len(_DATA)
        data = bytes(tensor.data) if isinstance(tensor.data, Raw) else b""
        place = body.find(data, start)
        head, tail = body[:start], body[place + len(data) :]
        between = body[start:place]
        if start < len(_DATA) or between.strip() or len(tail) > MAX_BYTES:
            return
        if not _is_between(head, tail, envelope):
            return
        if len(self._json) >= MAX_KNOWN:
            self._json.clear()
        spec = self._inputs[tensor.name]
        elements = request.inputs[spec.name].size
        self._json[head] = _Json(tail, spec, tensor.shape, elements, _Meaning.of(request))

    def _learn_binary(
        self, tensors: list[InputTensor], request: InferenceRequest, body: bytes, end: int
    ) -> None:
        found: list[_Tensor] = []
        at = end
        for tensor in tensors:
            spec = self._inputs[tensor.name]
            array = request.inputs[spec.name]
            if not spec.size_bytes:
                return
            found.append(_Tensor(spec, Span(at, array.nbytes), tensor.shape, array.size))
            at += array.nbytes
        by_name = {one.spec.name: one for one in found}
        if len(self._binary) >= MAX_KNOWN:
            self._binary.clear()
        self._binary[body[:end]] = _Binary(
            len(body), tuple(by_name[name] for name in request.inputs), _Meaning.of(request)
        )


def _is_between(head: bytes, tail: bytes, envelope: Envelope) -> bool:
    """Tell whether a value between `head` and `tail` is the data of the tensor, and nothing else."""
    try:
        probe = decode_envelope(head + _PROBE + tail)
    except BadRequest:
        return False
    data, probe.inputs[0].data = probe.inputs[0].data, envelope.inputs[0].data
    return isinstance(data, Raw) and bytes(data) == _PROBE and probe == envelope
