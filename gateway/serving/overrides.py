"""Columns that a request sends although they are stored: they count, and are compared with what is stored."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from driftgate.features.lookup.resolve import Resolved
from driftgate.features.lookup.skew import FeatureSkew, SentColumn, StoredColumn, compare
from driftgate.features.rows.layout import Place
from driftgate.features.views.status import FeatureStatus
from driftgate.gateway.serving.exchange import Exchange
from driftgate.gateway.serving.feature_plan import FeaturePlan
from driftgate.gateway.serving.override_plan import Override
from driftgate.gateway.state.skew_counters import SkewCounters, SkewKey
from driftgate.gateway.wire.inference import Array
from driftgate.models.schema.client_manifest import NOT_SENT


class Rows(NamedTuple):
    """Completed rows: the model's inputs, the status of each feature, and where a prediction is forbidden."""

    inputs: dict[str, Array]
    status: Array
    refused: Array | None


class _Sent(NamedTuple):
    """A feature in the rows of all requests: values [N, columns], and which of them somebody sent.

    `rows` [N] are those that send any, `asked` [N] all rows of their requests.
    """

    values: Array
    given: Array
    rows: Array
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
        sent = _sent(one, exchanges, rows)
        if sent is None:
            continue
        view = plan.views[one.view]
        skew = _skew(one, sent, _stored(one, view.layout.places[one.feature.name], *found[one.view]))
        counters.add(SkewKey(plan.model, plan.version, view.name, one.feature.name), skew)
        _put(one, sent, rows)


def _sent(one: Override, exchanges: Sequence[Exchange], rows: Rows) -> _Sent | None:
    """Return what the requests sent of a feature; None if they sent nothing."""
    names = [column.name for column in one.columns]
    if not any([name in exchange.request.inputs for exchange in exchanges for name in names]):
        return None
    shape = len(rows.status), len(names)
    values, given, asked = np.zeros(shape, one.dtype), np.zeros(shape, bool), np.zeros(shape[0], bool)
    last = 0
    for exchange in exchanges:
        first, last = last, last + exchange.request.rows
        for place, name in enumerate(names):
            array = exchange.request.inputs.get(name)
            if array is not None:
                values[first:last, place] = array[:, 0]
                given[first:last, place] = _given(array[:, 0])
        asked[first:last] = np.count_nonzero(given[first:last]) > 0
    if not np.count_nonzero(asked):
        return None
    some = given[:, 0] if len(names) == 1 else np.asarray(given.any(axis=1))
    return _Sent(values, given, some, asked)


def _given(column: Array) -> Array:
    """Return which values of a column that a request sent are more than the mark of a missing one."""
    if column.dtype.hasobject:
        return np.asarray(column != NOT_SENT)
    return ~np.isnan(column) if column.dtype.kind == "f" else np.ones(len(column), bool)


def _put(one: Override, sent: _Sent, rows: Rows) -> None:
    """Put what was sent into the model's inputs; a row that sent all of a feature is not refused for it."""
    for place, (_, name, column) in enumerate(one.columns):
        given = sent.given[:, place]
        rows.inputs[name].reshape(len(given), -1)[given, column] = sent.values[given, place]
    marked = sent.rows
    if rows.refused is not None:
        rows.refused[sent.given.all(axis=1), one.status] = False
        marked = marked & ~rows.refused[:, one.status]
    rows.status[marked, one.status] = FeatureStatus.SENT


def _stored(one: Override, held: Place, resolved: Resolved, place: Array | None) -> StoredColumn:
    """Return what is stored; TIMEOUT where that is not known, as a policy has put something in its place."""
    status = resolved.status[:, held.index]
    known = (status <= FeatureStatus.MISSING) | (resolved.event_time_us == 0)
    if resolved.absent is not None:
        known &= ~resolved.absent[:, held.index] | (status != FeatureStatus.STALE)
    values, status = (
        resolved.blocks[held.dtype][:, one.elements],
        np.where(known, status, FeatureStatus.TIMEOUT),
    )
    return StoredColumn(values, status) if place is None else StoredColumn(values[place], status[place])


def _skew(one: Override, sent: _Sent, stored: StoredColumn) -> FeatureSkew:
    """Compare the rows of requests that sent the feature, as far as it is known what is stored.

    Of a vector they are compared in what a row sent of it.
    """
    rows = sent.asked & (stored.statuses != FeatureStatus.TIMEOUT)
    values, given, held = sent.values[rows], sent.given[rows], stored.values[rows]
    if np.count_nonzero(given) < given.size:
        values, held = np.where(given, values, 0), np.where(given, held, 0)
    return compare(
        one.feature, SentColumn(values, ~sent.rows[rows]), StoredColumn(held, stored.statuses[rows])
    )
