"""Records: blocks laid out as one table with a row for every row that was predicted. Pure.

A request that has no rows, because it failed before, has one record whose `row` is missing.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from driftgate.monitoring.log_blocks import Column
from driftgate.monitoring.log_columns import Texts, Values, join, repeat
from driftgate.monitoring.log_reader import ReadBlock
from driftgate.monitoring.record import Array

Kind = Literal["number", "optional", "time", "id", "text", "optional_text", "hash", "tensor"]
"""What values mean: "optional" is missing where NaN or negative, "id" and "hash" are 16 bytes each (a hash of
zeros is missing), "optional_text" is missing where empty, a "tensor" has several values a row."""

_NUMBERS = ("parse_ns", "queue_ns", "infer_ns", "encode_ns", "code")
_TEXTS = ("arm", "purpose")
_OPTIONAL_TEXTS = ("client_id", "idempotency_key", "traceparent")
_HASHES = ("routing_key", "entity_key")


@dataclass(frozen=True, slots=True)
class RecordColumn:
    """One column of records; `meaning` is "input", "output:<role>" or empty."""

    name: str
    values: Values
    kind: Kind
    meaning: str = ""


def layout_of(read: ReadBlock) -> object:
    """Return what two blocks must share so that their records can be one table."""
    header = read.block.header
    tensors = [
        (entry.name, entry.role, entry.dtype, entry.shape, entry.columns, entry.meaning)
        for entry in (column.entry for column in read.block.tensors)
    ]
    return header.model, header.version, tuple(tensors)


def record_columns(blocks: Sequence[ReadBlock]) -> Iterator[RecordColumn]:
    """Yield the columns of the records of blocks that share a layout, in the order of the blocks."""
    rows = np.concatenate([_numbers(read, "rows") for read in blocks]).astype(np.int64)
    times = np.maximum(rows, 1)
    spread = _Spread(blocks, times if (rows != 1).any() else None)
    yield RecordColumn("prediction_id", spread.column("prediction_id"), "id")
    yield RecordColumn("row", _row_numbers(spread, rows, times), "optional")
    yield RecordColumn("time", spread.column("recorded_us"), "time")
    yield RecordColumn("arrived", spread.column("arrived_us"), "time")
    yield RecordColumn("version", spread.constant([read.block.header.version for read in blocks]), "number")
    generations = spread.constant([read.block.header.generation for read in blocks])
    yield RecordColumn("generation", generations, "number")
    yield RecordColumn("propensity", spread.column("propensity"), "optional")
    for names, kind in ((_TEXTS, "text"), (_OPTIONAL_TEXTS, "optional_text"), (_NUMBERS, "number")):
        for name in names:
            yield RecordColumn(name, spread.column(name), kind)  # type: ignore[arg-type] # a literal above
    for name in _HASHES:
        yield RecordColumn(name, spread.hashes(name), "hash")
    yield RecordColumn("slot", spread.constant([read.slot for read in blocks]), "number")
    yield RecordColumn("sequence", spread.constant([read.sequence for read in blocks]), "number")
    if blocks[0].block.tensors and times.sum() == sum(read.block.header.rows for read in blocks):
        yield from _tensor_columns(blocks)


class _Spread:
    """Puts columns of requests together and repeats each value for the rows of its request."""

    def __init__(self, blocks: Sequence[ReadBlock], times: Array | None) -> None:
        self._blocks = blocks
        self._times = times
        self._requests = [read.block.header.requests for read in blocks]

    def column(self, name: str) -> Values:
        return self._spread(join([read.block.requests[name] for read in self._blocks]))

    def constant(self, values: list[int]) -> Values:
        return self._spread(np.repeat(np.array(values, np.int64), self._requests))

    def hashes(self, name: str) -> Values:
        columns = [read.block.requests[name] for read in self._blocks]
        arrays = [
            np.zeros((len(column), 16), np.uint8) if isinstance(column, Texts) else column
            for column in columns
        ]
        return self._spread(np.concatenate(arrays))

    def _spread(self, values: Values) -> Values:
        return values if self._times is None else repeat(values, self._times)


def _row_numbers(spread: _Spread, rows: Array, times: Array) -> Array:
    """Return the place of each record's row in its request, -1 for a request without rows."""
    first = spread.column("first_row")
    starts = np.repeat(np.cumsum(times) - times, times)
    places = np.arange(len(starts)) - starts + np.asarray(first, np.int64)
    return np.where(np.repeat(rows == 0, times), -1, places).astype(np.int32)


def _tensor_columns(blocks: Sequence[ReadBlock]) -> Iterator[RecordColumn]:
    for place, column in enumerate(blocks[0].block.tensors):
        entry = column.entry
        values = join([read.block.tensors[place].values for read in blocks])
        meaning = f"output:{entry.meaning}" if entry.role == "output" else entry.role
        yield from _named(column, values, meaning)


def _named(column: Column, values: Values, meaning: str) -> Iterator[RecordColumn]:
    entry = column.entry
    width = int(np.prod(entry.shape, dtype=np.int64))
    prefix = f"{entry.name}." if entry.role == "output" else ""
    if len(entry.shape) == 1 and width == len(entry.columns):
        for index, name in enumerate(entry.columns):
            yield RecordColumn(prefix + name, _element(values, index), _plain_kind(values), meaning)
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
    return values.reshape(len(values))


def _element(values: Values, index: int) -> Values:
    """Return element `index` of every row; of texts, all of them are read for it."""
    if not isinstance(values, Texts):
        return np.ascontiguousarray(values[:, index])
    return values.every(values.shape[1], index)


def numbers_of(values: Values) -> Array:
    """Return a column that is known to hold numbers; raise TypeError if it holds texts."""
    if isinstance(values, Texts):
        raise TypeError("a column of numbers holds texts")
    return values


def _numbers(read: ReadBlock, name: str) -> Array:
    return numbers_of(read.block.requests[name])
