"""Answers that are alike but for their id and their elements: written once, then filled in. Pure."""

from collections.abc import Mapping
from typing import NamedTuple

from driftgate.gateway.wire.computed import InferenceResult, RowLayout
from driftgate.gateway.wire.inference import InferenceRequest, RequestedOutput
from driftgate.gateway.wire.json_text import json_of
from driftgate.gateway.wire.tensor_views import EncodedAnswer, OutputView

MAX_ROWS = 64
MAX_FORMS = 256
_Key = tuple[int, bool, tuple[RequestedOutput, ...] | None]


class AnswerForm(NamedTuple):
    """The answers of so many rows to all who ask for the same outputs in the same way.

    `json` has places for the id and for the elements of the outputs in `texts`; the bytes of those in `raws`
    follow it.
    """

    json: bytes
    texts: tuple[int, ...]
    raws: tuple[int, ...]

    def filled(self, result: InferenceResult, layouts: tuple[RowLayout, ...]) -> EncodedAnswer | None:
        """Return the answer, or None where outputs are not like `layouts` or JSON cannot say them."""
        values = [result.prediction_id.encode()]
        if self.texts:
            texts = result.texts(layouts)
            if not texts:
                return None
            values += [texts[place] for place in self.texts]
        json = self.json % tuple(values)
        if not self.raws:
            return EncodedAnswer(json)
        raws = result.raws(layouts)
        if not raws:
            return None
        return EncodedAnswer(b"".join((json, *[raws[place] for place in self.raws])), len(json))


class AnswerForms:
    """The forms of one model version, made when they are first needed."""

    def __init__(self, head: bytes, outputs: Mapping[str, OutputView]) -> None:
        """`head` is the part of a JSON answer that names the version."""
        self._head = head
        self._outputs = outputs
        self._forms: dict[_Key, AnswerForm | None] = {}
        self._layouts = tuple(RowLayout(one.shape[1:], one.dtype) for one in outputs.values())
        self._places = {name: place for place, name in enumerate(outputs)}
        self._all = {
            binary: tuple(RequestedOutput(name, binary) for name in outputs) for binary in (False, True)
        }

    def __len__(self) -> int:
        return len(self._forms)

    def wanted(self, request: InferenceRequest) -> tuple[RequestedOutput, ...]:
        """Return the outputs that a request asks for: all where it names none."""
        return request.outputs or self._all[request.binary_output]

    def answer(self, request: InferenceRequest, result: InferenceResult) -> EncodedAnswer | None:
        """Return the answer to a request without an id of its own, or None where it has no form."""
        key = request.rows, request.binary_output, request.outputs
        try:
            form = self._forms[key]
        except KeyError:
            form = self._learn(key)
        return form.filled(result, self._layouts) if form is not None else None

    def _learn(self, key: _Key) -> AnswerForm | None:
        rows, binary, outputs = key
        if rows > MAX_ROWS:
            return None
        if len(self._forms) >= MAX_FORMS:
            self._forms.clear()
        wanted = outputs or self._all[binary]
        form = self._forms[key] = self._form(rows, wanted)
        return form

    def _form(self, rows: int, wanted: tuple[RequestedOutput, ...]) -> AnswerForm | None:
        outputs = self._outputs
        if not all(_is_formal(outputs[one.name], one) for one in wanted):
            return None
        texts = tuple(self._places[one.name] for one in wanted if not one.binary)
        raws = tuple(self._places[one.name] for one in wanted if one.binary)
        parts = b",".join([_part(outputs[one.name], one, rows) for one in wanted])
        json = b'{"id":"%%b",%b,"outputs":[%b]}' % (_literal(self._head), parts)
        return AnswerForm(json, texts, raws)


def _is_formal(view: OutputView, wanted: RequestedOutput) -> bool:
    fixed = view.batched and -1 not in view.shape[1:] and not wanted.classification
    return fixed and (view.datatype != "BYTES" if wanted.binary else len(view.shape) <= 2)


def _part(view: OutputView, wanted: RequestedOutput, rows: int) -> bytes:
    shape = json_of((rows, *view.shape[1:]))
    if not wanted.binary:
        return b'%b%b,"data":[%%b]}' % (_literal(view.head), shape)
    size = rows * view.row_bytes
    return b'%b%b,"parameters":{"binary_data_size":%d}}' % (_literal(view.head), shape, size)


def _literal(text: bytes) -> bytes:
    return text.replace(b"%", b"%%")
