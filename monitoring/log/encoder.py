"""From turns to blocks: what repeats from turn to turn is worked out once per version and kind of arrays.

A worker may encode at the end of every turn of its event loop, a few requests at a time: what costs is the
number of steps here, not of bytes. Pure but for what it remembers.
"""

from collections.abc import Iterator, Sequence
from itertools import compress
from math import nan
from typing import Any, NamedTuple

import msgspec
import numpy as np

from driftgate.monitoring.log.blocks import ID_BYTES, PACKED, PREFIX, RECORD
from driftgate.monitoring.log.columns import encode_array
from driftgate.monitoring.log.plan import Plan, Step, arrays_of, kind_of, plan_of
from driftgate.monitoring.log.record import Array, RequestRecord, TurnRecord
from driftgate.monitoring.log.redaction import keyed_hash, keyed_hashes, sampled, treated

MOST_PLANS = 1024


class EncodedBlock(NamedTuple):
    """The payload of a frame, and how many requests and records are in it."""

    payload: bytes
    requests: int
    records: int


class _Part(NamedTuple):
    """Requests of one block, in the order of their records and of the rows of the columns."""

    requests: Sequence[RequestRecord]
    records: bytes | bytearray
    rows: int = 0
    columns: Sequence[bytes] = ()
    sizes: Sequence[int] = ()


class BlockEncoder:
    """Encodes the turns of one log; `secret` is the key of its hashes."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._plans: dict[object, Plan] = {}
        self._msgpack = msgspec.msgpack.Encoder()

    def encode(self, turns: Sequence[TurnRecord]) -> list[EncodedBlock]:
        """Return the blocks of turns, one or more for each version and kind of arrays."""
        groups: dict[tuple[object, int], list[TurnRecord]] = {}
        for turn in turns:
            groups.setdefault((kind_of(turn), turn.generation), []).append(turn)
        blocks: list[EncodedBlock] = []
        for (kind, _), group in groups.items():
            plan = self._plans.get(kind)
            if plan is None:
                plan = self._new_plan(kind, group[0])
            blocks += self._encode_group(plan, group)
        return blocks

    def _new_plan(self, kind: object, turn: TurnRecord) -> Plan:
        plan = plan_of(turn)
        if len(self._plans) >= MOST_PLANS:
            self._plans.clear()
        self._plans[kind] = plan
        return plan

    def _encode_group(self, plan: Plan, turns: list[TurnRecord]) -> Iterator[EncodedBlock]:
        requests = turns[0].requests if len(turns) == 1 else [one for turn in turns for one in turn.requests]
        records = _records(turns, len(requests))
        if not plan.steps or plan.sample >= 1.0:
            yield self._encode(plan.layout, turns, _Part(requests, records, *self._columns(plan, turns)))
            return
        keep = sampled(_id_bytes(requests), plan.sample)
        if keep.any():
            columns = self._columns(plan, turns, np.repeat(keep, [request.rows for request in requests]))
            part = _Part(list(compress(requests, keep)), _chosen(records, keep), *columns)
            yield self._encode(plan.layout, turns, part)
        if not keep.all():
            part = _Part(list(compress(requests, ~keep)), _chosen(records, ~keep))
            yield self._encode(plan.bare_layout, turns, part)

    def _columns(
        self, plan: Plan, turns: list[TurnRecord], chosen: Array | None = None
    ) -> tuple[int, list[bytes], list[int]]:
        """Return how many rows there are, their columns, and the sizes of those that are texts."""
        if not plan.steps:
            return 0, [], []
        rows = sum([turn.rows for turn in turns]) if chosen is None else int(chosen.sum())
        columns = [self._column(step, turns, chosen) for step in plan.steps]
        return rows, columns, [len(columns[place]) for place in plan.texts]

    def _column(self, step: Step, turns: list[TurnRecord], chosen: Array | None) -> bytes:
        arrays = arrays_of(turns, step.role, step.treatment.name)
        if step.plain and chosen is None:
            return arrays[0].tobytes() if len(arrays) == 1 else b"".join([one.tobytes() for one in arrays])
        array = arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
        if chosen is not None:
            array = array[chosen]
        return encode_array(treated(array, step.treatment, turns[0].version.policy, self._secret))

    def _encode(self, layout: bytes, turns: list[TurnRecord], part: _Part) -> EncodedBlock:
        requests = part.requests
        texts = self._request_texts(requests, part.sizes)
        count = len(requests)
        logged = sum([request.rows or 1 for request in requests])
        times = turns[0].recorded_us, turns[-1].recorded_us
        generation = turns[0].generation
        prefix = PREFIX.pack(len(layout), len(texts), count, part.rows, logged, generation, *times)
        payload = b"".join((prefix, layout, part.records, _id_bytes(requests), texts, *part.columns))
        return EncodedBlock(payload, count, logged)

    def _request_texts(self, requests: Sequence[RequestRecord], sizes: Sequence[int]) -> bytes:
        fields = _shared_texts(requests) or _texts_of_each(requests)
        *texts, routing, entity = fields
        count = len(requests)
        return self._encode_texts((*texts, self._hashes(routing, count), self._hashes(entity, count), sizes))

    def _encode_texts(self, fields: tuple[object, ...]) -> bytes:
        try:
            return self._msgpack.encode(fields)
        except UnicodeEncodeError:
            return self._msgpack.encode(tuple(map(_escaped, fields)))

    def _hashes(self, keys: bytes | Sequence[bytes], count: int) -> bytes:
        """Return the hashes of the keys of so many requests, or of the key that all share."""
        if not keys:
            return b""
        if isinstance(keys, bytes):
            return keyed_hash(keys, self._secret) * count
        return keyed_hashes(keys, self._secret)


def _records(turns: Sequence[TurnRecord], count: int) -> bytearray:
    pack_into, size = PACKED.pack_into, PACKED.size
    records = bytearray(count * size)
    at = 0
    for turn in turns:
        recorded_us = turn.recorded_us
        for r in turn.requests:
            pack_into(
                records,
                at,
                recorded_us,
                r.arrived_us,
                r.parse_ns,
                r.queue_ns,
                r.infer_ns,
                r.encode_ns,
                nan if r.propensity is None else r.propensity,
                r.rows,
                r.first_row,
                r.code,
                r.bucket,
            )
            at += size
    return records


def _chosen(records: bytearray, keep: Array) -> bytes:
    return np.frombuffer(records, RECORD)[keep].tobytes()


def _id_bytes(requests: Sequence[RequestRecord]) -> bytes:
    data = bytes.fromhex("".join([request.prediction_id for request in requests]).replace("-", ""))
    if len(data) != ID_BYTES * len(requests):
        raise ValueError("a prediction id is no UUID")
    return data


def _shared_texts(requests: Sequence[RequestRecord]) -> Sequence[Any] | None:
    """Return the texts and keys of all requests if they are the same for all, else None."""
    r = requests[0]
    first = r.client_id, r.arm, r.purpose, r.idempotency_key, r.traceparent, r.routing_key, r.entity_key
    for r in requests:
        if (
            r.client_id,
            r.arm,
            r.purpose,
            r.idempotency_key,
            r.traceparent,
            r.routing_key,
            r.entity_key,
        ) != first:
            return None
    return first


def _texts_of_each(requests: Sequence[RequestRecord]) -> Sequence[Any]:
    """Return each of the texts and keys as a column, or as one value where all requests have the same."""
    columns: tuple[list[Any], ...] = (
        [r.client_id for r in requests],
        [r.arm for r in requests],
        [r.purpose for r in requests],
        [r.idempotency_key for r in requests],
        [r.traceparent for r in requests],
        [r.routing_key for r in requests],
        [r.entity_key for r in requests],
    )
    return [column[0] if column.count(column[0]) == len(column) else column for column in columns]


def _escaped(field: object) -> object:
    """Return texts with lone surrogates, which UTF-8 does not know, written out."""
    if isinstance(field, str):
        return field.encode("utf-8", "backslashreplace").decode()
    return [_escaped(text) for text in field] if isinstance(field, list) else field
