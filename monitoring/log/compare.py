"""Two versions on the same rows: how their decisions, scores and times differ. Pure.

Records of two versions are a pair when they are of the same prediction and row: one of the versions answered,
the other was its shadow.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from driftgate.monitoring.log.record import Array

QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}
PROBABILITY_THRESHOLD = 0.5


@dataclass(frozen=True)
class RecordedColumn:
    """An input or output over records: numbers, texts (objects), or several numbers a row.

    `meaning` is "input", "output:" with the output's role in the model's task, or what stored features add:
    "status" and "event_time" (int64 Unix microseconds, 0 where there is none).
    """

    name: str
    meaning: str
    values: Array


@dataclass(frozen=True)
class VersionRecords:
    """The successful records of one version; every array counts records.

    `recorded_us` is in Unix microseconds; `taken_ns` is the time that an answer took in its worker, of which
    `infer_ns` is that of the model.
    """

    prediction_ids: Sequence[str]
    rows: Array
    recorded_us: Array
    taken_ns: Array
    infer_ns: Array
    columns: tuple[RecordedColumn, ...]


class OutputDifference(msgspec.Struct, frozen=True):
    """How one output differs: in how many pairs, and quantiles of |a - b| (none for texts)."""

    name: str
    role: str
    differing: int
    quantiles: dict[str, float]


class DifferingRow(msgspec.Struct, frozen=True):
    """One row with both answers; `difference` is the largest |a - b| of its outputs."""

    prediction_id: str
    row: int
    difference: float
    flipped: bool
    inputs: dict[str, Any]
    a: dict[str, Any]
    b: dict[str, Any]


class Comparison(msgspec.Struct, frozen=True):
    """What pairs say. `flips` is None where no output is a decision; times in milliseconds, by quantile."""

    pairs: int
    flips: int | None = None
    outputs: tuple[OutputDifference, ...] = ()
    infer_ms_a: dict[str, float] = {}
    infer_ms_b: dict[str, float] = {}
    worst: tuple[DifferingRow, ...] = ()


def compare(a: VersionRecords, b: VersionRecords, worst: int = 0) -> Comparison:
    """Compare what two versions made of the same rows, with the `worst` rows: those that differ most."""
    places_a, places_b = pair(a, b)
    if not len(places_a):
        return Comparison(0)
    outputs_a, outputs_b = _outputs(a, places_a), _outputs(b, places_b)
    flipped = _flipped(outputs_a, outputs_b)
    found = [
        (outputs_a[name], differences(outputs_a[name].values, outputs_b[name].values))
        for name in outputs_a
        if name in outputs_b
    ]
    total = np.zeros(len(places_a))
    for _, difference in found:
        total = np.maximum(total, difference)
    changed = np.zeros(len(places_a), bool) if flipped is None else flipped
    chosen = np.lexsort((~changed, -total))[:worst]
    return Comparison(
        pairs=len(places_a),
        flips=None if flipped is None else int(flipped.sum()),
        outputs=tuple(_difference(column, difference) for column, difference in found),
        infer_ms_a=_quantiles(a.infer_ns[places_a] / 1e6),
        infer_ms_b=_quantiles(b.infer_ns[places_b] / 1e6),
        worst=tuple(
            DifferingRow(
                prediction_id=a.prediction_ids[places_a[i]],
                row=int(a.rows[places_a[i]]),
                difference=float(total[i]),
                flipped=bool(changed[i]),
                inputs=_values(a, int(places_a[i]), "input"),
                a=_values(a, int(places_a[i]), "output"),
                b=_values(b, int(places_b[i]), "output"),
            )
            for i in chosen
            if total[i] or changed[i]
        ),
    )


def pair(a: VersionRecords, b: VersionRecords) -> tuple[Array, Array]:
    """Return where the records of each pair are in `a` and in `b`."""
    known = {key: place for place, key in enumerate(zip(a.prediction_ids, a.rows.tolist(), strict=True))}
    keys = zip(b.prediction_ids, b.rows.tolist(), strict=True)
    found = [(known[key], place) for place, key in enumerate(keys) if key in known]
    places = np.array(found, np.int64).reshape(-1, 2)
    return places[:, 0], places[:, 1]


def differences(a: Array, b: Array) -> Array:
    """Return |a - b| per record, the largest of several numbers; 1 where texts differ.

    Two NaN or two equal infinities do not differ; a number and NaN differ infinitely.
    """
    if a.shape != b.shape:
        return np.full(len(a), np.inf)
    if a.dtype == object or b.dtype == object:
        each = (a != b).astype(np.float64)
    else:
        one, other = a.astype(np.float64), b.astype(np.float64)
        same = (one == other) | (np.isnan(one) & np.isnan(other))
        with np.errstate(invalid="ignore"):
            apart = np.abs(one - other)
        each = np.where(same, 0.0, np.where(np.isnan(apart), np.inf, apart))
    return np.asarray(each.reshape(len(a), -1).max(axis=1, initial=0.0))


def decisions(outputs: Mapping[str, RecordedColumn]) -> Array | None:
    """Return what each record decided, or None where no output says it.

    That is the output in the role of the prediction, unless it is a measured number; else the most probable
    class, or whether a single probability reaches one half.
    """
    for column in outputs.values():
        if column.meaning == "output:prediction" and column.values.dtype.kind != "f":
            return column.values
    shares = [column.values for column in outputs.values() if column.meaning == "output:probabilities"]
    if not shares or any(values.dtype.kind != "f" for values in shares):
        return None
    table = np.concatenate([values.reshape(len(values), -1) for values in shares], axis=1)
    if table.shape[1] == 1:
        return np.asarray(table[:, 0] >= PROBABILITY_THRESHOLD)
    return np.asarray(table.argmax(axis=1))


def _flipped(a: Mapping[str, RecordedColumn], b: Mapping[str, RecordedColumn]) -> Array | None:
    one, other = decisions(a), decisions(b)
    if one is None or other is None or one.shape != other.shape:
        return None
    return np.asarray((one != other).reshape(len(one), -1).any(axis=1))


def _outputs(records: VersionRecords, places: Array) -> dict[str, RecordedColumn]:
    return {
        column.name: RecordedColumn(column.name, column.meaning, column.values[places])
        for column in records.columns
        if column.meaning.startswith("output")
    }


def _difference(column: RecordedColumn, difference: Array) -> OutputDifference:
    quantiles = {} if column.values.dtype == object else _quantiles(difference)
    role = column.meaning.partition(":")[2]
    return OutputDifference(column.name, role, int((difference > 0).sum()), quantiles)


def _quantiles(values: Array) -> dict[str, float]:
    """The smallest value that at least such a share does not exceed: no interpolation, infinities allowed."""
    found = np.quantile(values, list(QUANTILES.values()), method="inverted_cdf")
    return dict(zip(QUANTILES, found.tolist(), strict=True))


def _values(records: VersionRecords, place: int, side: str) -> dict[str, Any]:
    columns = (column for column in records.columns if column.meaning.startswith(side))
    return {column.name: _plain(column.values[place]) for column in columns}


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value
