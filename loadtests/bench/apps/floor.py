"""The floor: the fastest application that can be written around one onnxruntime call, and nothing else.

Typed decoding, one call for each request, typed encoding. No validation, routing, metrics, deadlines or log.
"""

import os
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import numpy as np
import onnxruntime

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

JSON = (b"content-type", b"application/json")
DATATYPES = {"tensor(float)": "FP32", "tensor(int64)": "INT64"}


class InputTensor(msgspec.Struct):
    """One input as the protocol has it."""

    name: str
    shape: list[int]
    datatype: str
    data: list[float]


class InferRequest(msgspec.Struct):
    """The body of a request."""

    inputs: list[InputTensor]


class OutputTensor(msgspec.Struct):
    """One output as the protocol has it."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    data: list[Any]


class InferResponse(msgspec.Struct):
    """The body of an answer."""

    model_name: str
    outputs: list[OutputTensor]


class Floor:
    """The application, around one session."""

    def __init__(self, path: str) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        session = onnxruntime.InferenceSession(path, options, ["CPUExecutionProvider"])
        self._run = session.run
        self._outputs = [(spec.name, DATATYPES[spec.type]) for spec in session.get_outputs()]
        self._names = [name for name, _ in self._outputs]
        self._decode = msgspec.json.Decoder(InferRequest).decode
        self._encode = msgspec.json.Encoder().encode

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        message = await receive()
        body = message["body"]
        while message.get("more_body"):
            message = await receive()
            body += message["body"]
        answer = self._answer(body)
        headers = [JSON, (b"content-length", b"%d" % len(answer))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    def _answer(self, body: bytes) -> bytes:
        tensors = self._decode(body).inputs
        feeds = {tensor.name: np.array(tensor.data, np.float32).reshape(tensor.shape) for tensor in tensors}
        results = self._run(self._names, feeds)
        outputs = [
            OutputTensor(name, datatype, result.shape, result.ravel().tolist())
            for (name, datatype), result in zip(self._outputs, results, strict=True)
        ]
        return self._encode(InferResponse("model", outputs))


app = Floor(os.environ["LOADTESTS_MODEL"])
