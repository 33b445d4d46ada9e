"""Open Inference Protocol v2 over REST: bytes to an InferenceRequest, an InferenceResult to bytes. Pure."""

from collections.abc import Mapping
from typing import Any

from msgspec import UNSET

from driftgate.gateway.errors import BadRequest
from driftgate.gateway.wire.classification import top_classes
from driftgate.gateway.wire.computed import InferenceResult
from driftgate.gateway.wire.inference import Array, InferenceRequest, RequestedOutput
from driftgate.gateway.wire.json_text import count_nonfinite, data_as_json, json_of
from driftgate.gateway.wire.model_view import ModelView
from driftgate.gateway.wire.oip_binary import Span, array_from_bytes, bytes_from_array
from driftgate.gateway.wire.oip_data import array_from_json, rows_and_count
from driftgate.gateway.wire.oip_envelope import InputTensor, OutputTensor, decode_envelope
from driftgate.gateway.wire.oip_raw import parse_raw
from driftgate.gateway.wire.tensor_views import EncodedAnswer, InputView, Nonfinite, OutputView, ParseLimits
from driftgate.models.schema.elements import shown
from driftgate.models.schema.signature import DATATYPES

MAX_ID_CHARS = 1024
_RESERVED_PREFIX = "triton_"
_MAX_UINT64 = 2**64 - 1


def parse_infer(
    body: bytes, header_length: int | None, view: ModelView, limits: ParseLimits
) -> InferenceRequest:
    """Return the checked request in `body`.

    `header_length` is the value of Inference-Header-Content-Length: where the JSON ends and tensors begin;
    None means that all is JSON, 0 that all is one raw tensor. Raises BadRequest or InvalidInput for what the
    protocol or the signature does not allow, TooLarge beyond `limits`.
    """
    if header_length == 0:
        return parse_raw(body, view, limits)
    end = len(body) if header_length is None else header_length
    if not 0 <= end <= len(body):
        raise BadRequest(f"inference header size should be in range (0, {len(body)}), got: {end}")
    limits.check_text(end)
    known = view.known.read_json(body) if header_length is None else view.known.read_binary(body, end)
    if known is not None:
        return known
    envelope = decode_envelope(body if end == len(body) else body[:end])
    reader = _InputReader(view, limits, body, end)
    inputs = reader.read(envelope.inputs)
    request = InferenceRequest(inputs, max(reader.rows, 1))
    if envelope.id:
        request.id = checked_id(envelope.id)
    if envelope.parameters:
        _apply_parameters(request, envelope.parameters)
    if envelope.outputs:
        request.outputs = _requested(envelope.outputs, request.binary_output, view)
    view.known.learn(envelope, request, body, end)
    return request


def encode_infer(
    request: InferenceRequest, result: InferenceResult, view: ModelView, nonfinite: Nonfinite
) -> EncodedAnswer:
    """Return the answer to `request`: JSON, followed by raw tensors where binary outputs were asked for.

    Raises NonfiniteAnswer where `nonfinite` is "error" and a JSON output holds NaN or an infinity.
    """
    if not request.id:
        answer = view.forms.answer(request, result)
        if answer is not None:
            return answer
    parts: list[bytes] = []
    tensors: list[bytes] = []
    unsayable = 0
    for wanted in view.forms.wanted(request):
        spec = view.outputs[wanted.name]
        array = result.array(wanted.name)
        datatype, head = spec.datatype, spec.head
        if wanted.classification:
            unsayable += count_nonfinite(array)
            array, datatype, head = top_classes(array, wanted.classification, spec), "BYTES", spec.text_head
        shape = json_of(array.shape)
        if wanted.binary:
            raw = bytes_from_array(array, datatype)
            tensors.append(raw)
            parts.append(b'%b%b,"parameters":{"binary_data_size":%d}}' % (head, shape, len(raw)))
        else:
            data, count = data_as_json(array, datatype, spec.name, nonfinite)
            unsayable += count
            parts.append(b'%b%b,"data":%b}' % (head, shape, data))
    json = b'%b,"outputs":[%b]}' % (_opening(request, result, view), b",".join(parts))
    if not tensors:
        return EncodedAnswer(json, None, unsayable)
    return EncodedAnswer(b"".join((json, *tensors)), len(json), unsayable)


def checked_id(identifier: str) -> str:
    """Return a client's id for its request; raise BadRequest where it is too long."""
    if len(identifier) > MAX_ID_CHARS:
        raise BadRequest(f"'id' is longer than {MAX_ID_CHARS} characters")
    return identifier


class _InputReader:
    """Reads the inputs of one request in their order, which is also that of their bytes behind the JSON."""

    __slots__ = ("_body", "_limits", "_offset", "_text_bytes", "_view", "rows")

    def __init__(self, view: ModelView, limits: ParseLimits, body: bytes, offset: int) -> None:
        self._view = view
        self._limits = limits
        self._body = body
        self._offset = self._text_bytes = offset
        self.rows = 0

    def read(self, tensors: list[InputTensor]) -> dict[str, Array]:
        """Return every input of the signature, in its order; `rows` is then known."""
        view = self._view
        arrays: dict[str, Array] = {}
        for tensor in tensors:
            name = tensor.name
            spec = view.inputs.get(name)
            if spec is None:
                raise BadRequest(f"unexpected inference input {shown(name)} for model {view.name!r}")
            if name in arrays:
                raise BadRequest(f"input {name!r} is given twice")
            if tensor.datatype != spec.datatype:
                raise BadRequest(_wrong_datatype(tensor, spec, view.name))
            rows, count = rows_and_count(spec, tensor.shape, view.name, self._limits)
            if spec.batched:
                self._check_rows(rows, name)
            arrays[name] = self._array(tensor, spec, count)
        if self._offset != len(self._body):
            left = len(self._body) - self._offset
            raise BadRequest(f"unexpected additional input data: {left} bytes follow the last tensor")
        if len(arrays) != len(view.input_names):
            return _without_optional(arrays, view)
        return arrays if len(arrays) == 1 else {name: arrays[name] for name in view.input_names}

    def _check_rows(self, rows: int, name: str) -> None:
        if self.rows and rows != self.rows:
            raise BadRequest(
                f"input {name!r} batch size does not match other inputs for {self._view.name!r}: "
                f"{rows} rows, not {self.rows}"
            )
        self.rows = rows

    def _array(self, tensor: InputTensor, spec: InputView, count: int) -> Array:
        parameters, data = tensor.parameters, tensor.data
        size = None
        if parameters is not None:
            size = parameters.binary_data_size
            if parameters.shared_memory_region is not UNSET:
                raise BadRequest(f"input {spec.name!r}: shared memory is not offered; send its data")
        if data is not UNSET:
            if size is not None:
                raise BadRequest(f"input {spec.name!r} has both data and binary_data_size; give one of them")
            return array_from_json(spec, data, tensor.shape, count)
        if size is None:
            raise BadRequest(f"input {spec.name!r} has neither data nor the parameter binary_data_size")
        if not spec.size_bytes:
            self._text_bytes += size
            self._limits.check_text(self._text_bytes)
        span = Span(self._offset, size)
        self._offset += size
        return array_from_bytes(spec, self._body, span, tensor.shape, count)


def _wrong_datatype(tensor: InputTensor, spec: InputView, model: str) -> str:
    if tensor.datatype in DATATYPES:
        return (
            f"inference input {spec.name!r} data-type is {tensor.datatype!r}, "
            f"but model {model!r} expects {spec.datatype!r}"
        )
    return (
        f"invalid datatype for input {spec.name!r}: {shown(tensor.datatype)}; "
        f"model {model!r} expects {spec.datatype!r}"
    )


def _without_optional(found: dict[str, Array], view: ModelView) -> dict[str, Array]:
    """Return the inputs in the order of the signature, if all that are missing may be."""
    missing = [name for name in view.input_names if name not in found and name not in view.optional]
    if missing or not found:
        raise BadRequest(_missing_inputs(found, missing, view))
    return {name: found[name] for name in view.input_names if name in found}


def _missing_inputs(found: Mapping[str, Array], missing: list[str], view: ModelView) -> str:
    return (
        f"expected {len(view.input_names)} inputs but got {len(found)} inputs for model {view.name!r}. "
        f"Got input(s) {list(found)}, but missing required input(s) {missing}. "
        "Please provide all required input(s)."
    )


def _apply_parameters(request: InferenceRequest, parameters: Mapping[str, Any]) -> None:
    for name in parameters:
        if name.startswith(_RESERVED_PREFIX):
            raise BadRequest(f"parameter {shown(name)} is reserved: names do not begin with triton_")
    request.timeout_us = _whole(parameters, "timeout")
    _whole(parameters, "priority")
    request.binary_output = _flag(parameters, "binary_data_output")
    _flag(parameters, "sequence_start")
    _flag(parameters, "sequence_end")
    sequence = parameters.get("sequence_id")
    if isinstance(sequence, bool) or not isinstance(sequence, str | int | None):
        raise BadRequest("parameter 'sequence_id' must be a string or a whole number")
    if sequence:
        request.sequence_id = _sequence_id(sequence)


def _sequence_id(sequence: str | int) -> str:
    if isinstance(sequence, int) and not 0 <= sequence <= _MAX_UINT64:
        raise BadRequest("parameter 'sequence_id' must lie between 0 and 2^64 - 1")
    text = str(sequence)
    if len(text) > MAX_ID_CHARS:
        raise BadRequest(f"parameter 'sequence_id' is longer than {MAX_ID_CHARS} characters")
    return text


def _whole(parameters: Mapping[str, Any], name: str) -> int:
    value = parameters.get(name, 0)
    if type(value) is not int or not 0 <= value <= _MAX_UINT64:
        raise BadRequest(f"parameter {name!r} must be a whole number from 0 to 2^64 - 1")
    return value


def _flag(parameters: Mapping[str, Any], name: str) -> bool:
    value = parameters.get(name, False)
    if not isinstance(value, bool):
        raise BadRequest(f"parameter {name!r} must be true or false")
    return value


def _requested(tensors: list[OutputTensor], binary: bool, view: ModelView) -> tuple[RequestedOutput, ...]:
    outputs: dict[str, RequestedOutput] = {}
    for tensor in tensors:
        spec = view.outputs.get(tensor.name)
        if spec is None:
            raise BadRequest(f"unexpected inference output {shown(tensor.name)} for model {view.name!r}")
        if tensor.name in outputs:
            raise BadRequest(f"output {tensor.name!r} is requested twice")
        outputs[tensor.name] = _requested_output(tensor, binary, spec)
    return tuple(outputs.values())


def _requested_output(tensor: OutputTensor, binary: bool, spec: OutputView) -> RequestedOutput:
    parameters = tensor.parameters
    if parameters is None:
        return RequestedOutput(tensor.name, binary)
    if parameters.shared_memory_region is not UNSET:
        raise BadRequest(f"output {spec.name!r}: shared memory is not offered")
    classes = parameters.classification
    if classes is not None and classes < 1:
        raise BadRequest(f"output {spec.name!r}: classification must be a positive whole number")
    if classes is not None and spec.datatype == "BYTES":
        raise BadRequest(f"output {spec.name!r} is text; classification needs numbers")
    wanted = parameters.binary_data
    return RequestedOutput(tensor.name, binary if wanted is None else wanted, classes or 0)


def _opening(request: InferenceRequest, result: InferenceResult, view: ModelView) -> bytes:
    prediction_id = json_of(result.prediction_id)
    if not request.id:
        return b'{"id":%b,%b' % (prediction_id, view.head)
    return b'{"id":%b,%b,"parameters":{"prediction_id":%b}' % (json_of(request.id), view.head, prediction_id)
