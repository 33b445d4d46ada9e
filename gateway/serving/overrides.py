"""Columns that a request sends although they are stored: they count, and are compared with what is stored."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from driftgate.features.resolve import Resolved
from driftgate.features.skew import SentColumn, StoredColumn, compare
from driftgate.features.status import FeatureStatus
from driftgate.gateway.serving.exchange import Exchange
from driftgate.gateway.serving.feature_plan import FeaturePlan, Override
from driftgate.gateway.state.feature_counters import FeatureCounters
from driftgate.gateway.wire.inference import Array
from driftgate.models.client_manifest import NOT_SENT


class Rows(NamedTuple):
    """Completed rows: the model's inputs, the status of each feature, and where a prediction is forbidden."""

    inputs: dict[str, Array]
    status: Array
    refused: Array | None


def override(
    plan: FeaturePlan,
    rows: Rows,
    exchanges: Sequence[Exchange],
    found: Sequence[tuple[Resolved, Array | None]],
    counters: FeatureCounters,
) -> None:
    """Put what the requests sent into `rows`, in place; count how it compares with what was `found`."""
    for one in plan.overrides:
        values = _sent(one, exchanges, rows.inputs[one.input].dtype)
        if values is None:
            continue
        given = values != NOT_SENT if values.dtype.hasobject else ~np.isnan(values)
        if not np.count_nonzero(given):
            continue
        _compare(plan, one, SentColumn(values, ~given), found[one.view], counters)
        table = rows.inputs[one.input].reshape(len(values), -1)
        table[given, one.column] = values[given]
        rows.status[given, one.status] = FeatureStatus.SENT
        if rows.refused is not None:
            rows.refused[given, one.status] = False


def _sent(one: Override, exchanges: Sequence[Exchange], dtype: "np.dtype[np.generic]") -> Array | None:
    """Return the column of all requests, NaN or empty where one does not send it; None if none does."""
    sent = [exchange.request.inputs.get(one.name) for exchange in exchanges]
    if all(array is None for array in sent):
        return None
    nothing = NOT_SENT if dtype.hasobject else np.nan
    return np.concatenate(
        [
            np.full(exchange.request.rows, nothing, dtype) if array is None else array.reshape(-1)
            for exchange, array in zip(exchanges, sent, strict=True)
        ]
    )


def _compare(
    plan: FeaturePlan,
    one: Override,
    sent: SentColumn,
    found: tuple[Resolved, Array | None],
    counters: FeatureCounters,
) -> None:
    resolved, place = found
    view = plan.views[one.view]
    layout_place = view.layout.places[one.feature.name]
    stored = resolved.blocks[layout_place.dtype][:, one.element]
    status = resolved.status[:, layout_place.index]
    if place is not None:
        stored, status = stored[place], status[place]
    counters.compared(
        view.bound.view, one.feature.name, compare(one.feature, sent, StoredColumn(stored, status))
    )
