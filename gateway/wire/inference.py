"""The one seam of all protocols: bytes become an InferenceRequest, what was computed becomes bytes."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


class RequestedOutput(NamedTuple):
    """One output that a client asked for. `classification` > 0 asks for that many top classes as text."""

    name: str
    binary: bool = False
    classification: int = 0


@dataclass(slots=True)
class InferenceRequest:
    """A checked request: every input of the signature as an array of its dtype, all with `rows` rows.

    `inputs` are in the signature's order. `outputs` is None when the client asked for none by name; then all
    are given, as binary where `binary_output` is set. `timeout_us` is 0 when the body sets none.
    `sequence_id` is the sticky key of clients that know no header.
    """

    inputs: dict[str, Array]
    rows: int
    id: str = ""
    outputs: tuple[RequestedOutput, ...] | None = None
    binary_output: bool = False
    timeout_us: int = 0
    sequence_id: str = ""
