"""Request bodies out of rows, and scores out of answers: what the demo's client says and understands."""

import json
import shlex
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from driftgate.gateway.demo.held_out import Row

Protocol = Literal["predict", "infer"]


class Scored(NamedTuple):
    """The version that answered, its probability of class 1, and what the answer says of stored features."""

    version: int
    score: float
    features: str = ""


@dataclass(frozen=True)
class Answer:
    """One request and what came of it: the version that answered and its score, or an error.

    `features` is the header that tells of stored features, empty without any.
    """

    model: str
    row: int
    latency_ms: float
    version: int
    score: float
    error: str = ""
    features: str = ""


class UnexpectedAnswer(Exception):
    """A body that is not an answer of the protocol."""


def body_of(protocol: Protocol, row: Row, metadata: dict[str, Any]) -> dict[str, Any]:
    """Return the body that asks for a prediction of one row; `metadata` is the model's, from the server."""
    if protocol == "predict":
        return {"rows": [row]}
    if len(metadata["inputs"]) == 1:
        matrix = metadata["inputs"][0]
        return {"inputs": [_tensor(matrix, [1, len(row)], list(row.values()))]}
    return {"inputs": [_tensor(tensor, [1, 1], [row[tensor["name"]]]) for tensor in metadata["inputs"]]}


def scored(answer: Any, protocol: Protocol, probabilities: str) -> Scored:
    """Return what an answer says of its only row, else raise UnexpectedAnswer."""
    try:
        version = int(answer["model_version"])
        if protocol == "predict":
            return Scored(version, float(answer["rows"][0][probabilities][1]))
        output = next(output for output in answer["outputs"] if output["name"] == probabilities)
        return Scored(version, float(output["data"][1]))
    except (LookupError, TypeError, ValueError, StopIteration) as error:
        raise UnexpectedAnswer(
            f"an answer without version or {probabilities}: {str(answer)[:200]}"
        ) from error


def _tensor(spec: dict[str, Any], shape: list[int], data: list[Any]) -> dict[str, Any]:
    return {"name": spec["name"], "shape": shape, "datatype": spec["datatype"], "data": data}


def curl_of(url: str, model: str, row: Row) -> str:
    """Return a command line, ready to be pasted, that asks for a prediction of one row."""
    return (
        f"curl -s {url}/v2/models/{model}/predict -d {shlex.quote(json.dumps(body_of('predict', row, {})))}"
    )
