"""Columns as monitoring watches them: those of the log's blocks, named as in the archive. Pure."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from math import prod

import numpy as np

from driftgate.monitoring.log.blocks import Block, numbers_of, tensor_of
from driftgate.monitoring.log.columns import Categories, TensorEntry, Texts
from driftgate.monitoring.log.record import Array
from driftgate.monitoring.reference.profile import Role, StoredNames

MOST_COLUMNS = 256
"""A tensor of more unnamed values a row than this is one wide column."""


LATENCY = "request.latency_ms"
"""The column of the time that an answer took in its worker."""
AGE = "features.{}.age_s"
"""The column of how long before an answer the event was that a view's features are of."""


@dataclass(frozen=True, slots=True)
class Observed:
    """One column: numbers [rows], texts, or rows of many numbers [rows, values]."""

    name: str
    role: Role
    values: Array | Texts


def observed_columns(blocks: Sequence[Block]) -> Iterator[Observed]:
    """Yield inputs and outputs of blocks that share a layout; numbers are views."""
    layout = blocks[0].layout
    filled = frozenset(layout.filled)
    for place, entry in enumerate(layout.tensors):
        if entry.role in ("input", "output"):
            values = tensor_of(blocks, place)
            if not isinstance(values, Categories):
                yield from columns_of(entry, values, filled)


def request_latency(blocks: Sequence[Block]) -> Observed:
    """Return how long each row's request took in its worker, in milliseconds: float32[rows]."""
    numbers = numbers_of(blocks)
    taken = numbers["parse_ns"] + numbers["queue_ns"] + numbers["infer_ns"] + numbers["encode_ns"]
    return Observed(LATENCY, "latency", np.repeat((taken / 1e6).astype(np.float32), numbers["rows"]))


def feature_ages(blocks: Sequence[Block]) -> Iterator[Observed]:
    """Yield how old each view's features were, in seconds: float32[rows], NaN where nothing was written."""
    for place, views in _stored(blocks[0], "event_time"):
        times = np.asarray(tensor_of(blocks, place)).reshape(-1, len(views))
        numbers = numbers_of(blocks)
        recorded_us = np.repeat(numbers["recorded_us"], numbers["rows"])
        for view, event_us in zip(views, times.T, strict=True):
            yield age_column(view, event_us, recorded_us)


def age_column(view: str, event_us: Array, recorded_us: Array) -> Observed:
    """Return the ages of a view's features; an event of time 0 was never written."""
    ages = np.where(event_us > 0, (recorded_us - event_us) / 1e6, np.nan)
    return Observed(AGE.format(view), "feature_age", ages.astype(np.float32))


def stored_statuses(blocks: Sequence[Block]) -> Iterator[tuple[tuple[str, ...], Array]]:
    """Yield the names of stored features, and how each was come by: uint8[rows, features]."""
    for place, names in _stored(blocks[0], "status"):
        yield names, np.asarray(tensor_of(blocks, place)).reshape(-1, len(names))


def stored_names(block: Block) -> StoredNames:
    """Return the stored features that a block's rows were completed with, and their views."""
    features = tuple(name for _, names in _stored(block, "status") for name in names)
    return StoredNames(features, tuple(name for _, names in _stored(block, "event_time") for name in names))


def _stored(block: Block, role: str) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Yield the places of the columns of a role that stored features have, with the names in each."""
    for place, entry in enumerate(block.layout.tensors):
        width = prod(entry.shape)
        if entry.role == role and entry.encoding == "raw" and width:
            yield place, entry.columns if len(entry.columns) == width else tuple(map(str, range(width)))


def columns_of(entry: TensorEntry, values: Array | Texts, filled: Collection[str] = ()) -> Iterator[Observed]:
    """Yield the columns of one tensor's rows; those that stored features have `filled` are features."""
    for column in _elements(entry, values):
        is_feature = entry.role == "input" and column.name in filled
        yield replace(column, role="feature") if is_feature else column


def _elements(entry: TensorEntry, values: Array | Texts) -> Iterator[Observed]:
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
    return "input"
