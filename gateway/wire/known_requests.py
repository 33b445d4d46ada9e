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
MAX_TENSORS = 4
"""A rule of thumb: with more of them, what is read anew anyhow takes most of the time."""


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


class _Elements(NamedTuple):
    """The elements of one tensor as JSON: `after` is the text between them and the next ones, or the end."""

    after: bytes
    spec: InputView
    shape: tuple[int, ...]
    elements: int


class _Json(NamedTuple):
    """Tensors as JSON, in their order: all text but their elements is known."""

    tensors: tuple[_Elements, ...]
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
        if known is None or not body.endswith(known.tensors[-1].after):
            return None
        inputs: dict[str, Array] = {}
        last = len(known.tensors) - 1
        for number, (after, spec, shape, count) in enumerate(known.tensors):
            # Each part has to be a whole list by itself, so no string can end before it does
            stop = len(body) - len(after) if number == last else body.find(after, start)
            try:
                values = spec.decode(body[start:stop])
            except UNDECODABLE:
                return None
            if stop < start or len(values) != count:
                return None
            inputs[spec.name] = spec.elements.array(values, shape)
            start = stop + len(after)
        return known.meaning.request(inputs)

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
        if len(tensors) <= MAX_TENSORS and all(tensor.data is not UNSET for tensor in tensors):
            self._learn_json(envelope, request, body)
        elif end < len(body) and end <= MAX_BYTES and all(tensor.data is UNSET for tensor in tensors):
            self._learn_binary(tensors, request, body, end)

    def _learn_json(self, envelope: Envelope, request: InferenceRequest, body: bytes) -> None:
        texts = _texts_around(envelope.inputs, body)
        names = [tensor.name for tensor in envelope.inputs]
        # in another order than the signature's, or with some left out, they are read the general way
        if not texts or names != [name for name in request.inputs] or not _is_around(texts, envelope):
            return
        if len(self._json) >= MAX_KNOWN:
            self._json.clear()
        tensors = tuple(
            _Elements(after, self._inputs[tensor.name], tensor.shape, request.inputs[tensor.name].size)
            for tensor, after in zip(envelope.inputs, texts[1:], strict=True)
        )
        self._json[texts[0]] = _Json(tensors, _Meaning.of(request))

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


def _texts_around(tensors: list[InputTensor], body: bytes) -> list[bytes]:
    """Return the text before the data of the first tensor and after that of each; nothing if too long."""
    texts: list[bytes] = []
    at = 0
    for tensor in tensors:
        data = bytes(tensor.data) if isinstance(tensor.data, Raw) else b""
        start = body.find(_DATA, at, at + MAX_BYTES) + len(_DATA)
        place = body.find(data, start)
        if start < at + len(_DATA) or body[start:place].strip():
            return []
        texts.append(body[at:start])
        at = place + len(data)
    texts.append(body[at:])
    return texts if len(texts[-1]) <= MAX_BYTES else []


def _is_around(texts: list[bytes], envelope: Envelope) -> bool:
    """Tell whether values between the texts are the data of the tensors, each of its own, and nothing else.

    It is tried with values that no tensor has, as they are neither flat nor regular.
    """
    count = len(texts) - 1
    probes = [b"[7,[%d]]" % number for number in range(count)]
    between = b"".join([text + probe for text, probe in zip(texts, probes, strict=False)])
    try:
        found = decode_envelope(between + texts[-1])
    except BadRequest:
        return False
    if len(found.inputs) != count:
        return False
    for tensor, wanted, probe in zip(found.inputs, envelope.inputs, probes, strict=True):
        if not isinstance(tensor.data, Raw) or bytes(tensor.data) != probe:
            return False
        tensor.data = wanted.data
    return found == envelope
