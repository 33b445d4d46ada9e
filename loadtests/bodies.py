"""Questions for models of the zoo: Open Inference Protocol bodies, as JSON and as binary tensors."""

import json
from functools import partial

import numpy as np
from numpy.typing import NDArray

from loadtests.target import Check, Question
from loadtests.wire import Answer, render

Rows = NDArray[np.float32]
SIGN = 1000
"""What the `signed` model adds for each version number; keys are smaller."""


def json_question(model: str, rows: Rows, is_right: Check | None = None, name: str = "x") -> Question:
    """Return a request with `rows` as JSON numbers."""
    body = json.dumps({"inputs": [{**_tensor(name, rows), "data": rows.ravel().tolist()}]}).encode()
    return Question(
        render("POST", f"/v2/models/{model}/infer", body, {"Content-Type": "application/json"}), is_right
    )


def binary_question(model: str, rows: Rows, is_right: Check | None = None, name: str = "x") -> Question:
    """Return a request with `rows` as a binary tensor that asks for binary outputs."""
    data = rows.astype("<f4").tobytes()
    tensor = {**_tensor(name, rows), "parameters": {"binary_data_size": len(data)}}
    head = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    headers = {
        "Content-Type": "application/octet-stream",
        "Inference-Header-Content-Length": str(len(head)),
    }
    return Question(render("POST", f"/v2/models/{model}/infer", head + data, headers), is_right)


def signed_questions(model: str, count: int = 64, width: int = 4) -> tuple[Question, ...]:
    """Return questions for the `signed` model; only the named version's answer to that very row is right."""
    rows = np.zeros((count, 1, width), np.float32)
    rows[:, 0, 0] = np.arange(count)
    return tuple(json_question(model, rows[key], partial(is_signed, key)) for key in range(count))


def is_signed(key: int, answer: Answer) -> bool:
    """Tell whether the output is `key` + SIGN times the version that the answer names."""
    version = version_of(answer)
    return version > 0 and output_of(answer) == key + SIGN * version


def version_of(answer: Answer) -> int:
    """Return the version named in `x-served-by`, 0 if there is none."""
    head, _, _ = answer.served_by.partition(b",")
    digits = head.removeprefix(b"version=")
    return int(digits) if digits.isdigit() else 0


def output_of(answer: Answer) -> float | None:
    """Return the only number of the first output of a JSON answer, None where there is none."""
    start = answer.body.find(b'"data":[')
    end = answer.body.find(b"]", start)
    try:
        return float(answer.body[start + 8 : end]) if start >= 0 else None
    except ValueError:
        return None


def random_rows(width: int, count: int = 1, seed: int = 7) -> Rows:
    """Return rows of standard normal numbers, always the same ones for a seed."""
    return np.random.default_rng(seed).standard_normal((count, width)).astype(np.float32)


def _tensor(name: str, rows: Rows) -> dict[str, object]:
    return {"name": name, "shape": list(rows.shape), "datatype": "FP32"}
