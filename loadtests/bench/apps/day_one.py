"""Day one: what a user would write in an afternoon, with FastAPI and pydantic."""

import os
from typing import Any

import numpy as np
import onnxruntime
from fastapi import FastAPI
from pydantic import BaseModel


class InputTensor(BaseModel):
    """One input as the protocol has it."""

    name: str
    shape: list[int]
    datatype: str
    data: list[float]


class InferRequest(BaseModel):
    """The body of a request."""

    inputs: list[InputTensor]


class OutputTensor(BaseModel):
    """One output as the protocol has it."""

    name: str
    datatype: str
    shape: list[int]
    data: list[Any]


class InferResponse(BaseModel):
    """The body of an answer."""

    model_name: str
    outputs: list[OutputTensor]


app = FastAPI()
session = onnxruntime.InferenceSession(os.environ["LOADTESTS_MODEL"], providers=["CPUExecutionProvider"])


@app.post("/v2/models/{name}/infer")
async def infer(name: str, request: InferRequest) -> InferResponse:
    """Answer one request."""
    feeds = {}
    for tensor in request.inputs:
        feeds[tensor.name] = np.array(tensor.data, dtype=np.float32).reshape(tensor.shape)
    results = session.run(None, feeds)
    outputs = [
        OutputTensor(
            name=spec.name,
            datatype="INT64" if result.dtype == np.int64 else "FP32",
            shape=list(result.shape),
            data=result.ravel().tolist(),
        )
        for spec, result in zip(session.get_outputs(), results, strict=True)
    ]
    return InferResponse(model_name=name, outputs=outputs)
