"""Blocks: the turns of one flush and model version as one run of columns behind a msgpack header. Pure."""

import math
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
from typing import Any, Literal

import msgspec
import numpy as np

from driftgate.monitoring.log_columns import (
    ColumnEntry,
    Values,
    decode_column,
    encode_array,
    encode_texts,
    padding,
)
from driftgate.monitoring.record import Array, RequestRecord, TensorColumns, TurnRecord
from driftgate.monitoring.redaction import KEY_HASH_BYTES, Kept, kept_arrays, keyed_hash, sampled

ID_BYTES = 16
_LENGTH = struct.Struct("<I")
_NUMBERS = {
    "rows": "I", "arrived_us": "q", "first_row": "I", "parse_ns": "q", "queue_ns": "q", "infer_ns": "q",
    "encode_ns": "q", "code": "H",
}  # fmt: skip
_KEYS = frozenset({"routing_key", "entity_key"})
_FIELDS = RequestRecord.__struct_fields__


class DamagedBlock(Exception):
    """Bytes that are no block."""


class BlockHeader(msgspec.Struct, frozen=True):
    """What a block holds. Its columns follow in order: those of requests, then those of rows.

    `rows` is 0 in a block without payload. `omitted` names the tensors and columns that were left out.
    """

    model: str
    version: int
    generation: int
    requests: int
    rows: int
    first_us: int
    last_us: int
    columns: tuple[ColumnEntry, ...]
    omitted: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Column:
    """A column with what the header says of it."""

    entry: ColumnEntry
    values: Values


@dataclass(frozen=True, slots=True)
class Block:
    """A block as it was read: `requests` by name, `tensors` in order; numbers are views of the bytes read."""

    header: BlockHeader
    requests: Mapping[str, Values]
    tensors: tuple[Column, ...]
    size_bytes: int = 0

    @property
    def records(self) -> int:
        """Rows in the log: a request without rows has one."""
        rows = self.requests["rows"]
        return int(np.maximum(rows, 1).sum()) if isinstance(rows, np.ndarray) else 0


class EncodedBlock(msgspec.Struct, frozen=True):
    """The payload of a frame, and how many records are in it."""

    payload: bytes
    requests: int
    records: int


def encode_turns(turns: Iterable[TurnRecord], secret: bytes) -> Iterator[EncodedBlock]:
    """Yield the blocks of turns, one or more for each version and shape of arrays."""
    groups: dict[object, list[TurnRecord]] = {}
    for turn in turns:
        groups.setdefault(_group_of(turn), []).append(turn)
    for group in groups.values():
        yield from _encode_group(group, secret)


def decode_block(payload: bytes) -> Block:
    """Return the block in a payload; raise DamagedBlock if it is none."""
    try:
        (length,) = _LENGTH.unpack_from(payload)
        header = msgspec.msgpack.decode(payload[4 : 4 + length], type=BlockHeader)
        if not 0 <= header.requests * ID_BYTES <= len(payload):
            raise DamagedBlock("it has not so many requests as it says")
        columns = _decode_columns(header, payload, 4 + length + padding(4 + length))
        return Block(header, *columns, size_bytes=len(payload))
    except (msgspec.MsgspecError, struct.error, ValueError, TypeError, OverflowError) as error:
        raise DamagedBlock(str(error)) from error


def _group_of(turn: TurnRecord) -> object:
    rows = turn.rows
    shapes = [
        (name, array.dtype.char, array.shape[1:], array.ndim > 0 and len(array) == rows)
        for arrays in (turn.inputs, turn.outputs)
        for name, array in arrays.items()
    ]
    status = turn.feature_status
    return id(turn.version), turn.generation, tuple(shapes), None if status is None else status.shape[1:]


def _encode_group(turns: list[TurnRecord], secret: bytes) -> Iterator[EncodedBlock]:
    requests = [request for turn in turns for request in turn.requests]
    times = np.repeat([turn.recorded_us for turn in turns], [len(turn.requests) for turn in turns])
    tensors, omitted = _tensors(turns, secret)
    share = turns[0].version.policy.sample
    if not tensors or share >= 1.0:
        yield _encode(turns[0], _Part(requests, times, tensors), omitted, secret)
        return
    keep = sampled(_id_bytes([request.prediction_id for request in requests]), share)
    rows = np.repeat(keep, [request.rows for request in requests])
    if keep.any():
        chosen = [(role, Kept(kept.columns, kept.array[rows])) for role, kept in tensors]
        yield _encode(turns[0], _Part(list(compress(requests, keep)), times[keep], chosen), omitted, secret)
    if not keep.all():
        yield _encode(turns[0], _Part(list(compress(requests, ~keep)), times[~keep], []), omitted, secret)


Role = Literal["input", "output", "status"]


@dataclass(frozen=True, slots=True)
class _Part:
    requests: Sequence[RequestRecord]
    times: Array
    tensors: list[tuple[Role, Kept]]


def _tensors(turns: list[TurnRecord], secret: bytes) -> tuple[list[tuple[Role, Kept]], list[str]]:
    version = turns[0].version
    inputs, odd_inputs = _joined([turn.inputs for turn in turns], turns)
    outputs, odd_outputs = _joined([turn.outputs for turn in turns], turns)
    kept_in, left_in = kept_arrays(version.inputs, inputs, version.policy, secret)
    kept_out, left_out = kept_arrays(version.outputs, outputs, version.policy, secret)
    tensors: list[tuple[Role, Kept]] = [("input", kept) for kept in kept_in]
    tensors += [("output", kept) for kept in kept_out]
    if turns[0].feature_status is not None and inputs:
        status = np.concatenate([turn.feature_status for turn in turns if turn.feature_status is not None])
        tensors.append(("status", Kept(TensorColumns("feature_status"), status)))
    return tensors, [*odd_inputs, *odd_outputs, *left_in, *left_out]


def _joined(
    dictionaries: list[Mapping[str, Array]], turns: list[TurnRecord]
) -> tuple[dict[str, Array], list[str]]:
    """Return the arrays of all turns put together, and the names of those that do not count rows."""
    first, rows = dictionaries[0], turns[0].rows
    names = [name for name, array in first.items() if array.ndim > 0 and len(array) == rows]
    odd = [name for name in first if name not in names]
    if len(dictionaries) == 1:
        return {name: first[name] for name in names}, odd
    return {name: np.concatenate([arrays[name] for arrays in dictionaries]) for name in names}, odd


def _encode(turn: TurnRecord, part: _Part, omitted: list[str], secret: bytes) -> EncodedBlock:
    columns = [*_request_columns(part, secret), *(_tensor_column(role, kept) for role, kept in part.tensors)]
    header = BlockHeader(
        model=turn.version.model,
        version=turn.version.version,
        generation=turn.generation,
        requests=len(part.requests),
        rows=len(part.tensors[0][1].array) if part.tensors else 0,
        first_us=int(part.times[0]),
        last_us=int(part.times[-1]),
        columns=tuple(entry for entry, _ in columns),
        omitted=tuple(omitted),
    )
    head = msgspec.msgpack.encode(header)
    parts = [_LENGTH.pack(len(head)), head, bytes(padding(4 + len(head)))]
    for _, data in columns:
        parts += (data, bytes(padding(len(data))))
    records = sum([request.rows or 1 for request in part.requests])
    return EncodedBlock(b"".join(parts), len(part.requests), records)


def _request_columns(part: _Part, secret: bytes) -> Iterator[tuple[ColumnEntry, bytes]]:
    yield _raw("recorded_us", "<i8", part.times.astype("<i8").tobytes())
    fields = zip(*map(msgspec.structs.astuple, part.requests), strict=True)
    for name, values in zip(_FIELDS, fields, strict=True):
        if name in _NUMBERS:
            code = _NUMBERS[name]
            yield _raw(name, f"<{code}", struct.pack(f"<{len(values)}{code}", *values))
        elif name == "prediction_id":
            yield _raw(name, "|u1", _id_bytes(values), (ID_BYTES,))
        elif name == "propensity":
            numbers = [math.nan if value is None else value for value in values]
            yield _raw(name, "<d", struct.pack(f"<{len(numbers)}d", *numbers))
        elif name in _KEYS:
            yield _key_column(name, values, secret)
        else:
            yield _text_column(name, values)


def _raw(name: str, dtype: str, data: bytes, shape: tuple[int, ...] = ()) -> tuple[ColumnEntry, bytes]:
    return ColumnEntry(name, "request", "raw", dtype, shape, len(data)), data


def _text_column(name: str, values: tuple[Any, ...]) -> tuple[ColumnEntry, bytes]:
    if len(set(values)) == 1:
        data = values[0].encode("utf-8", "backslashreplace")
        return ColumnEntry(name, "request", "same", "text", (), len(data)), data
    data = encode_texts(values)
    return ColumnEntry(name, "request", "text", "text", (), len(data)), data


def _key_column(name: str, keys: tuple[bytes, ...], secret: bytes) -> tuple[ColumnEntry, bytes]:
    if not any(keys):
        return _text_column(name, ("",))
    none = bytes(KEY_HASH_BYTES)
    data = b"".join([keyed_hash(key, secret) if key else none for key in keys])
    return _raw(name, "|u1", data, (KEY_HASH_BYTES,))


def _tensor_column(role: Role, kept: Kept) -> tuple[ColumnEntry, bytes]:
    encoding, dtype, data = encode_array(kept.array)
    tensor = kept.columns
    shape = kept.array.shape[1:]
    entry = ColumnEntry(tensor.name, role, encoding, dtype, shape, len(data), tensor.columns, tensor.role)
    return entry, data


def _id_bytes(ids: Iterable[str]) -> bytes:
    return bytes.fromhex("".join(ids).replace("-", ""))


def _decode_columns(
    header: BlockHeader, payload: bytes, at: int
) -> tuple[dict[str, Values], tuple[Column, ...]]:
    requests: dict[str, Values] = {}
    tensors: list[Column] = []
    view = memoryview(payload)
    for entry in header.columns:
        data = view[at : at + entry.size_bytes]
        at += entry.size_bytes + padding(entry.size_bytes)
        if entry.role == "request":
            requests[entry.name] = decode_column(entry, data, header.requests)
        else:
            tensors.append(Column(entry, decode_column(entry, data, header.rows)))
    return requests, tuple(tensors)
