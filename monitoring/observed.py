"""Columns as monitoring watches them: those of the log's blocks, named as in the archive. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from driftgate.monitoring.log_blocks import Block, numbers_of, tensor_of
from driftgate.monitoring.log_columns import Categories, TensorEntry, Texts
from driftgate.monitoring.record import Array
from driftgate.monitoring.reference import Role

MOST_COLUMNS = 256
"""A tensor of more unnamed values a row than this is one wide column."""


LATENCY = "request.latency_ms"
"""The column of the time that an answer took in its worker."""


@dataclass(frozen=True, slots=True)
class Observed:
    """One column: numbers [rows], texts, or rows of many numbers [rows, values]."""

    name: str
    role: Role
    values: Array | Texts


def observed_columns(blocks: Sequence[Block]) -> Iterator[Observed]:
    """Yield inputs and outputs of blocks that share a layout; numbers are views."""
    for place, entry in enumerate(blocks[0].layout.tensors):
        if entry.role != "status":
            values = tensor_of(blocks, place)
            if not isinstance(values, Categories):
                yield from columns_of(entry, values)


def request_latency(blocks: Sequence[Block]) -> Observed:
    """Return how long each row's request took in its worker, in milliseconds: float32[rows]."""
    numbers = numbers_of(blocks)
    taken = numbers["parse_ns"] + numbers["queue_ns"] + numbers["infer_ns"] + numbers["encode_ns"]
    return Observed(LATENCY, "latency", np.repeat((taken / 1e6).astype(np.float32), numbers["rows"]))


def stored_statuses(blocks: Sequence[Block]) -> Iterator[tuple[tuple[str, ...], Array]]:
    """Yield the names of stored features, and how each was come by: uint8[rows, features]."""
    for place, entry in enumerate(blocks[0].layout.tensors):
        width = prod(entry.shape)
        if entry.role == "status" and entry.encoding == "raw" and width:
            values = tensor_of(blocks, place)
            names = entry.columns if len(entry.columns) == width else tuple(map(str, range(width)))
            yield names, np.asarray(values).reshape(-1, width)


def columns_of(entry: TensorEntry, values: Array | Texts) -> Iterator[Observed]:
    """Yield the columns of one tensor's rows."""
    width = prod(entry.shape)
    role = _role(entry)
    names = element_names(entry, width)
    if isinstance(values, Texts):
        for index, name in enumerate(names):
            yield Observed(name, role, values if width == 1 else values.every(width, index))
    elif width == len(names):
        flat = values.reshape(len(values), width)
        for index, name in enumerate(names):
            yield Observed(name, role, flat[:, index])
    elif values.dtype.kind in "fiub" and width:
        yield Observed(names[0], role, values.reshape(len(values), width))


def element_names(entry: TensorEntry, width: int) -> tuple[str, ...]:
    """Return the names of the elements of a row; one name for all if they have none of their own."""
    prefix = f"{entry.name}." if entry.role == "output" else ""
    if width == 1 and ((entry.role == "output" and len(entry.shape) != 1) or len(entry.columns) != 1):
        return (entry.name,)
    if entry.columns and len(entry.columns) == width:
        return tuple(prefix + name for name in entry.columns)
    if 1 < width <= MOST_COLUMNS:
        return tuple(f"{entry.name}.{index}" for index in range(width))
    return (entry.name,)


def _role(entry: TensorEntry) -> Role:
    if entry.role == "output":
        return "prediction" if entry.meaning == "prediction" else "score"
    return "feature" if entry.meaning == "feature" else "input"
