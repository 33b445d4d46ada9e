"""Columns that a request sends although they are stored: they count, and are compared with what is stored."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from driftgate.features.lookup.resolve import Resolved
from driftgate.features.lookup.skew import FeatureSkew, SentColumn, StoredColumn, compare
from driftgate.features.rows.layout import Place
from driftgate.features.views.status import FeatureStatus
from driftgate.gateway.serving.exchange import Exchange
from driftgate.gateway.serving.feature_plan import FeaturePlan, Override
from driftgate.gateway.state.skew_counters import SkewCounters, SkewKey
from driftgate.gateway.wire.inference import Array
from driftgate.models.schema.client_manifest import NOT_SENT


class Rows(NamedTuple):
    """Completed rows: the model's inputs, the status of each feature, and where a prediction is forbidden."""

    inputs: dict[str, Array]
    status: Array
    refused: Array | None


class _Sent(NamedTuple):
    """One column of the rows of all requests: values, where there are some, and of whom anybody sends it."""

    values: Array
    given: Array
    asked: Array


def override(
    plan: FeaturePlan,
    rows: Rows,
    exchanges: Sequence[Exchange],
    found: Sequence[tuple[Resolved, Array | None]],
    counters: SkewCounters,
) -> None:
    """Put what the requests sent into `rows`, in place; count how it compares with what was `found`."""
    for one in plan.overrides:
        sent = _sent(one, exchanges, rows.inputs[one.input].dtype)
        if sent is None:
            continue
        view = plan.views[one.view]
        skew = _skew(one, sent, _stored(one, view.layout.places[one.feature.name], *found[one.view]))
        counters.add(SkewKey(plan.model, plan.version, view.name, one.feature.name), skew)
        given = sent.given
        table = rows.inputs[one.input].reshape(len(given), -1)
        table[given, one.column] = sent.values[given]
        rows.status[given, one.status] = FeatureStatus.SENT
        if rows.refused is not None:
            rows.refused[given, one.status] = False


def _sent(one: Override, exchanges: Sequence[Exchange], dtype: "np.dtype[np.generic]") -> _Sent | None:
    """Return the column of all requests, NaN or empty where one does not send it; None if none does."""
    arrays = [exchange.request.inputs.get(one.name) for exchange in exchanges]
    if all(array is None for array in arrays):
        return None
    nothing = NOT_SENT if dtype.hasobject else np.nan
    columns = [
        np.full(exchange.request.rows, nothing, dtype) if array is None else array.reshape(-1)
        for exchange, array in zip(exchanges, arrays, strict=True)
    ]
    given = [column != NOT_SENT if dtype.hasobject else ~np.isnan(column) for column in columns]
    if not any([np.count_nonzero(rows) for rows in given]):
        return None
    asked = [np.full(len(rows), bool(np.count_nonzero(rows))) for rows in given]
    return _Sent(np.concatenate(columns), np.concatenate(given), np.concatenate(asked))


def _stored(one: Override, held: Place, resolved: Resolved, place: Array | None) -> StoredColumn:
    """Return what is stored; TIMEOUT where that is not known, as a policy has put something in its place."""
    status = resolved.status[:, held.index]
    known = (status <= FeatureStatus.MISSING) | (resolved.event_time_us == 0)
    if resolved.absent is not None:
        known &= ~resolved.absent[:, held.index] | (status != FeatureStatus.STALE)
    values, status = (
        resolved.blocks[held.dtype][:, one.element],
        np.where(known, status, FeatureStatus.TIMEOUT),
    )
    return StoredColumn(values, status) if place is None else StoredColumn(values[place], status[place])


def _skew(one: Override, sent: _Sent, stored: StoredColumn) -> FeatureSkew:
    """Compare the rows of requests that sent the column, as far as it is known what is stored."""
    rows = sent.asked & (stored.statuses != FeatureStatus.TIMEOUT)
    return compare(
        one.feature,
        SentColumn(sent.values[rows], ~sent.given[rows]),
        StoredColumn(stored.values[rows], stored.statuses[rows]),
    )
