"""A reference made from recorded traffic: the answered rows of one version in a stretch of time."""

from collections.abc import Iterator, Mapping

import numpy as np

from driftgate.monitoring.compare import RecordedColumn, VersionRecords
from driftgate.monitoring.log_columns import texts_of_list
from driftgate.monitoring.log_query import Places, each_version_records
from driftgate.monitoring.observed import MOST_COLUMNS, Observed
from driftgate.monitoring.record import Array
from driftgate.monitoring.record_filter import RecordFilter
from driftgate.monitoring.reference import ReferenceProfile, Role
from driftgate.monitoring.reference_sample import ReferenceSample, row_priorities
from driftgate.monitoring.text_hash import text_hashes

ANSWERED = 200


def traffic_profile(
    places: Places, wanted: RecordFilter, null_texts: Mapping[str, str]
) -> ReferenceProfile | None:
    """Return a profile of the wanted records that were answered, or None if there are none.

    `wanted` names model, version and times; `null_texts` as in `ReferenceSample`. Raises what
    `each_version_records` does.
    """
    sample = ReferenceSample(null_texts)
    for records in each_version_records(places, wanted):
        columns = [one for column in records.columns for one in _observed(column)]
        sample.update(columns, _priorities(records))
    if not sample.seen_rows:
        return None
    return sample.get("traffic", wanted.since_us or 0, wanted.until_us or 0)


def _observed(column: RecordedColumn) -> Iterator[Observed]:
    values, role = column.values, _role(column.meaning)
    if values.dtype == object:
        texts = ["" if value is None else str(value) for value in values.tolist()]
        yield Observed(column.name, role, texts_of_list(texts))
    elif values.ndim == 1 or values.shape[1] > MOST_COLUMNS:
        yield Observed(column.name, role, values)
    else:
        for index in range(values.shape[1]):
            yield Observed(f"{column.name}.{index}", role, values[:, index])


def _role(meaning: str) -> Role:
    if meaning.startswith("output:"):
        return "prediction" if meaning == "output:prediction" else "score"
    return "input"


def _priorities(records: VersionRecords) -> Array:
    """Return uint64[records] that look random and depend on prediction and row alone."""
    ids = text_hashes(texts_of_list(list(records.prediction_ids)))
    rows = row_priorities(0, int(records.rows.max(initial=0)) + 1)
    return np.asarray(ids ^ rows[records.rows.astype(np.int64)])
