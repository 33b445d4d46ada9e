"""Records: blocks laid out as one table with a row for every row that was predicted. Pure.

A request that has no rows, because it failed before, has one record whose `row` is missing.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from driftgate.monitoring.log.blocks import Block, ids_of, keys_of, numbers_of, tensor_of, texts_of
from driftgate.monitoring.log.columns import Categories, TensorEntry, Texts, Values, repeat
from driftgate.monitoring.log.reader import ReadBlock
from driftgate.monitoring.log.record import Array

Kind = Literal[
    "number", "optional", "time", "optional_time", "id", "text", "optional_text", "hash", "tensor"
]  # fmt: skip
"""What values mean: "optional" is missing where NaN or negative, "optional_time" where 0, "id" and "hash" are
16 bytes each (a hash of zeros is missing), "optional_text" is missing where empty, a "tensor" has several
values a row."""

_NUMBERS = ("parse_ns", "queue_ns", "infer_ns", "encode_ns", "code")
_TEXTS = ("arm", "purpose")
_OPTIONAL_TEXTS = ("client_id", "idempotency_key", "traceparent")
_HASHES = ("routing_key", "entity_key")


@dataclass(frozen=True, slots=True)
class RecordColumn:
    """One column of records; `meaning` is "input", "output:<role>", "status", "event_time" or empty."""

    name: str
    values: Values
    kind: Kind
    meaning: str = ""


def layout_of(block: Block) -> object:
    """Return what two blocks must share so that their records can be one table."""
    layout = block.layout
    return layout.model, layout.version, layout.tensors, tuple(view for view, _ in layout.snapshots)


def record_columns(reads: Sequence[ReadBlock]) -> Iterator[RecordColumn]:
    """Yield the columns of the records of blocks that share a layout, in the order of the blocks."""
    blocks = [read.block for read in reads]
    numbers = numbers_of(blocks)
    rows = numbers["rows"].astype(np.int64)
    times = np.maximum(rows, 1)
    spread = _Spread(blocks, times if (rows != 1).any() else None)
    yield RecordColumn("prediction_id", spread(ids_of(blocks)), "id")
    yield RecordColumn("row", _row_numbers(spread(numbers["first_row"]), rows, times), "optional")
    yield RecordColumn("time", spread(numbers["recorded_us"]), "time")
    yield RecordColumn("arrived", spread(numbers["arrived_us"]), "time")
    yield RecordColumn("version", spread.constant([block.header.version for block in blocks]), "number")
    generations = spread.constant([block.header.generation for block in blocks])
    yield RecordColumn("generation", generations, "number")
    yield RecordColumn("propensity", spread(numbers["propensity"]), "optional")
    yield RecordColumn("bucket", spread(numbers["bucket"]), "optional")
    for name in _TEXTS:
        yield RecordColumn(name, spread(texts_of(blocks, name)), "text")
    for name in _OPTIONAL_TEXTS:
        yield RecordColumn(name, spread(texts_of(blocks, name)), "optional_text")
    for name in _NUMBERS:
        yield RecordColumn(name, spread(numbers[name]), "number")
    for name in _HASHES:
        yield RecordColumn(name, spread(keys_of(blocks, name)), "hash")
    yield RecordColumn("slot", spread.constant([read.slot for read in reads]), "number")
    yield RecordColumn("sequence", spread.constant([read.sequence for read in reads]), "number")
    for place, (view, _) in enumerate(blocks[0].layout.snapshots):
        numbers_read = [block.layout.snapshots[place][1] for block in blocks]
        yield RecordColumn(f"snapshot.{view}", spread.constant(numbers_read), "number")
    if times.sum() == sum([block.header.rows for block in blocks]):
        yield from _tensor_columns(blocks)


class _Spread:
    """Repeats each value of a column of requests for the rows of its request."""

    def __init__(self, blocks: Sequence[Block], times: Array | None) -> None:
        self._times = times
        self._requests = [block.header.requests for block in blocks]

    def __call__(self, values: Values) -> Values:
        return values if self._times is None else repeat(values, self._times)

    def constant(self, values: list[int]) -> Values:
        return self(np.repeat(np.array(values, np.int64), self._requests))


def _row_numbers(first: Values, rows: Array, times: Array) -> Array:
    """Return the place of each record's row in its request, -1 for a request without rows."""
    starts = np.repeat(np.cumsum(times) - times, times)
    places = np.arange(len(starts)) - starts + np.asarray(first, np.int64)
    return np.where(np.repeat(rows == 0, times), -1, places).astype(np.int32)


def _tensor_columns(blocks: Sequence[Block]) -> Iterator[RecordColumn]:
    for place, entry in enumerate(blocks[0].layout.tensors):
        meaning = f"output:{entry.meaning}" if entry.role == "output" else entry.role
        yield from _named(entry, tensor_of(blocks, place), meaning)


def _named(entry: TensorEntry, values: Values, meaning: str) -> Iterator[RecordColumn]:
    width = int(np.prod(entry.shape, dtype=np.int64))
    prefix = "" if entry.role == "input" else f"{entry.name}."
    if len(entry.shape) == 1 and width == len(entry.columns):
        for index, name in enumerate(entry.columns):
            kind = "optional_time" if meaning == "event_time" else _plain_kind(values)
            yield RecordColumn(prefix + name, _element(values, index), kind, meaning)
    elif width == 1:
        name = entry.columns[0] if len(entry.columns) == 1 and entry.role == "input" else entry.name
        yield RecordColumn(name, _flat(values), _plain_kind(values), meaning)
    else:
        yield RecordColumn(entry.name, values, "tensor", meaning)


def _plain_kind(values: Values) -> Kind:
    return "text" if isinstance(values, Texts) else "number"


def _flat(values: Values) -> Values:
    if isinstance(values, Texts):
        return Texts(values.offsets, values.data, (len(values),))
    return values if isinstance(values, Categories) else values.reshape(len(values))


def _element(values: Values, index: int) -> Values:
    """Return element `index` of every row; of texts, all of them are read for it."""
    if isinstance(values, Texts):
        return values.every(values.shape[1], index)
    return values if isinstance(values, Categories) else np.ascontiguousarray(values[:, index])
