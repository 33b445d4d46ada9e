"""A reference made from recorded traffic: the answered rows of one version in a stretch of time."""

from collections import Counter
from collections.abc import Iterator

import numpy as np
from msgspec.structs import replace

from driftgate.monitoring.archive.record_filter import RecordFilter
from driftgate.monitoring.book.log_query import Places, each_version_records
from driftgate.monitoring.log.columns import texts_of_list
from driftgate.monitoring.log.compare import RecordedColumn, VersionRecords
from driftgate.monitoring.log.plan import EVENT_TIME, STATUS
from driftgate.monitoring.log.record import Array
from driftgate.monitoring.reference.profile import ReferenceProfile, Role, StoredNames
from driftgate.monitoring.reference.sample import ReferenceSample, row_priorities
from driftgate.monitoring.windows.cells import CategoricalCells
from driftgate.monitoring.windows.observed import LATENCY, MOST_COLUMNS, Observed, age_column
from driftgate.monitoring.windows.pane_quality import IN_ORDER
from driftgate.monitoring.windows.text_hash import text_hashes

ANSWERED = 200


class TrafficSample:
    """Gathers the wanted records chunk by chunk, so that nobody has to wait for all of them.

    `wanted` names model, version and times; `old` is the version's reference so far, which knows the roles of
    its columns and the texts that stand for null.
    """

    def __init__(self, places: Places, wanted: RecordFilter, old: ReferenceProfile | None) -> None:
        self._wanted = wanted
        self._old = old
        self._roles: dict[str, Role] = {one.column: one.role for one in old.features} if old else {}
        self._chunks = each_version_records(places, wanted)
        self._sample: ReferenceSample | None = None
        self._stale: Counter[str] = Counter()
        self._stale_of = 0

    def step(self) -> bool:
        """Take the next chunk, if there is one, and say so. Raises what `each_version_records` does."""
        records = next(self._chunks, None)
        if records is None:
            return False
        if self._sample is None:
            self._sample = ReferenceSample(_null_texts(self._old), _stored(records))
        self._sample.update(list(self._observed(records)), _priorities(records))
        self._count_stale(records)
        return True

    def get(self) -> ReferenceProfile | None:
        """Return the profile of what was taken, None if that was nothing."""
        if self._sample is None:
            return None
        profile = self._sample.get("traffic", self._wanted.since_us or 0, self._wanted.until_us or 0)
        stale = tuple(self._stale[name] for name in profile.stored)
        return replace(profile, stale=stale, stale_of=self._stale_of if stale else 0)

    def _count_stale(self, records: VersionRecords) -> None:
        self._stale_of += len(records.rows)
        for column in records.columns:
            if column.meaning == "status":
                name = column.name.removeprefix(f"{STATUS}.")
                self._stale[name] += int((~np.isin(column.values, IN_ORDER)).sum())

    def _observed(self, records: VersionRecords) -> Iterator[Observed]:
        for column in records.columns:
            if column.meaning == EVENT_TIME:
                view = column.name.removeprefix(f"{EVENT_TIME}.")
                yield age_column(view, column.values, records.recorded_us)
            elif column.meaning != "status":
                yield from self._columns(column)
        yield Observed(LATENCY, "latency", (records.taken_ns / 1e6).astype(np.float32))

    def _columns(self, column: RecordedColumn) -> Iterator[Observed]:
        name, values = column.name, column.values
        if values.dtype == object:
            texts = ["" if value is None else str(value) for value in values.tolist()]
            yield Observed(name, self._role(name, column.meaning), texts_of_list(texts))
        elif values.ndim == 1 or values.shape[1] > MOST_COLUMNS:
            yield Observed(name, self._role(name, column.meaning), values)
        else:
            for index in range(values.shape[1]):
                part = f"{name}.{index}"
                yield Observed(part, self._role(part, column.meaning), values[:, index])

    def _role(self, name: str, meaning: str) -> Role:
        if meaning.startswith("output:"):
            return "prediction" if meaning == "output:prediction" else "score"
        return "feature" if self._roles.get(name) == "feature" else "input"


def _null_texts(profile: ReferenceProfile | None) -> dict[str, str]:
    features = profile.features if profile is not None else ()
    return {one.column: one.cells.null_text for one in features if isinstance(one.cells, CategoricalCells)}


def _stored(records: VersionRecords) -> StoredNames:
    def named(meaning: str, prefix: str) -> tuple[str, ...]:
        found = [column.name for column in records.columns if column.meaning == meaning]
        return tuple(name.removeprefix(f"{prefix}.") for name in found)

    return StoredNames(named("status", STATUS), named(EVENT_TIME, EVENT_TIME))


def _priorities(records: VersionRecords) -> Array:
    """Return uint64[records] that look random and depend on prediction and row alone."""
    ids = text_hashes(texts_of_list(list(records.prediction_ids)))
    rows = row_priorities(0, int(records.rows.max(initial=0)) + 1)
    return np.asarray(ids ^ rows[records.rows.astype(np.int64)])
