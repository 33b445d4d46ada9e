"""How turns become blocks, decided once for each version and kind of arrays. Pure."""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import msgspec
import numpy as np

from driftgate.monitoring.log.blocks import Layout
from driftgate.monitoring.log.columns import TensorEntry, encoding_of, holds_texts
from driftgate.monitoring.log.record import Array, RecordedVersion, TensorColumns, TurnRecord
from driftgate.monitoring.log.redaction import ArrayKind, Treatment, treatments

Role = Literal["input", "output", "status", "event_time"]
STATUS = "feature_status"
EVENT_TIME = "event_time"


class Step(NamedTuple):
    """One column of a layout. `plain`: the array's bytes are the column."""

    role: Role
    treatment: Treatment
    plain: bool


class Plan(NamedTuple):
    """What all turns of one version have in common that hold the same kinds of arrays.

    `texts` are the places of the steps whose columns are texts.
    """

    layout: bytes
    bare_layout: bytes
    steps: tuple[Step, ...]
    texts: tuple[int, ...]
    sample: float


def kind_of(turn: TurnRecord) -> object:
    """Return what a plan depends on: the version, and the types and shapes of rows of all arrays."""
    rows = turn.rows
    kind: list[object] = [turn.version]
    for arrays in (turn.inputs, turn.outputs):
        for name, array in arrays.items():
            shape = array.shape
            kind += (name, array.dtype, shape[1:], shape[:1] == (rows,))
        kind.append(None)
    for stored in (turn.feature_status, turn.event_times):
        if stored is not None:
            kind += (stored.dtype, stored.shape[1:], stored.shape[:1] == (rows,), turn.snapshots)
    return tuple(kind)


def plan_of(turn: TurnRecord) -> Plan:
    version = turn.version
    inputs, odd_inputs = _kinds(turn.inputs, turn.rows)
    outputs, odd_outputs = _kinds(turn.outputs, turn.rows)
    inputs_kept, inputs_left = treatments(version.inputs, inputs, version.policy)
    outputs_kept, outputs_left = treatments(version.outputs, outputs, version.policy)
    chosen: list[tuple[Role, Treatment]] = [("input", one) for one in inputs_kept]
    chosen += [("output", one) for one in outputs_kept]
    stored, odd_stored = _kinds(_of_stored_features(turn), turn.rows)
    chosen += [_of_stored(version, kind.name) for kind in stored]
    omitted = (*odd_inputs, *odd_outputs, *odd_stored, *inputs_left, *outputs_left)
    arrays = [(role, one, arrays_of([turn], role, one.name)[0]) for role, one in chosen]
    entries = tuple(_entry(*item) for item in arrays)
    steps = tuple(Step(role, one, _is_plain(one, array)) for role, one, array in arrays)
    return Plan(
        layout=_layout(turn, entries, omitted),
        bare_layout=_layout(turn, (), omitted),
        steps=steps,
        texts=tuple(place for place, entry in enumerate(entries) if entry.encoding == "text"),
        sample=version.policy.sample,
    )


def _layout(turn: TurnRecord, entries: tuple[TensorEntry, ...], omitted: tuple[str, ...]) -> bytes:
    version = turn.version
    layout = Layout(version.model, version.version, entries, omitted, turn.snapshots, version.filled)
    return msgspec.msgpack.encode(layout)


def _of_stored_features(turn: TurnRecord) -> Mapping[str, Array]:
    arrays = {STATUS: turn.feature_status, EVENT_TIME: turn.event_times} if turn.inputs else {}
    return {name: array for name, array in arrays.items() if array is not None}


def _of_stored(version: RecordedVersion, name: str) -> tuple[Role, Treatment]:
    if name == STATUS:
        return "status", Treatment(name, TensorColumns(name, version.features))
    return "event_time", Treatment(name, TensorColumns(name, version.views))


def _kinds(arrays: Mapping[str, Array], rows: int) -> tuple[list[ArrayKind], list[str]]:
    """Return the kinds of arrays that count rows, and the names of the others."""
    kinds = [
        ArrayKind(name, array.dtype, array.shape[1:])
        for name, array in arrays.items()
        if array.shape[:1] == (rows,)
    ]
    known = {kind.name for kind in kinds}
    return kinds, [name for name in arrays if name not in known]


def _entry(role: Role, treatment: Treatment, array: Array) -> TensorEntry:
    encoding, dtype = encoding_of(np.dtype(object) if treatment.hashed else array.dtype)
    shape = array.shape[1:] if treatment.indices is None else (len(treatment.indices),)
    named = treatment.columns
    return TensorEntry(named.name, role, encoding, dtype, shape, named.columns, named.role)


def _is_plain(treatment: Treatment, array: Array) -> bool:
    little = array.dtype.newbyteorder("<") == array.dtype
    is_whole = treatment.indices is None and not treatment.hashed
    return is_whole and little and not holds_texts(array.dtype)


def arrays_of(turns: Sequence[TurnRecord], role: Role, name: str) -> list[Array]:
    """Return the arrays of turns that a step records."""
    if role == "input":
        return [turn.inputs[name] for turn in turns]
    if role == "output":
        return [turn.outputs[name] for turn in turns]
    stored = [turn.feature_status if role == "status" else turn.event_times for turn in turns]
    return [array for array in stored if array is not None]
