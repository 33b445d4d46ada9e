"""Stored features are watched as such: their values, their statuses, and how old they are."""

from pathlib import Path

import numpy as np
import pytest

from driftgate.monitoring.archive.files import Ages
from driftgate.monitoring.archive.parquet import table_of, version_records
from driftgate.monitoring.archive.record_filter import RecordFilter
from driftgate.monitoring.book.archiver import Archiver
from driftgate.monitoring.book.follower import Follower, FollowerSettings
from driftgate.monitoring.book.log_query import Places
from driftgate.monitoring.book.monitor_db import MonitorDb
from driftgate.monitoring.book.traffic_reference import ANSWERED, TrafficSample
from driftgate.monitoring.book.windows import WATCHED_PURPOSES, Watched
from driftgate.monitoring.log.record import RecordedVersion, TurnRecord
from driftgate.monitoring.quality.rates import QualityRate, QualityRates
from driftgate.monitoring.reference.profile import ReferenceProfile, StoredNames, encode_profile
from driftgate.monitoring.reference.sample import ReferenceSample
from driftgate.monitoring.windows.observed import LATENCY

from harness.records import PEOPLE, SCORES, SlotLog, blocks_of, reader, turn

NAMES = ("users.income", "shops.city")
VERSION = RecordedVersion(
    "fraud", 3, PEOPLE, SCORES, features=NAMES, views=("users", "shops"), filled=("city", "income")
)
SECOND_US = 1_000_000
AGES = ("features.users.age_s", "features.shops.age_s")


def completed(at_us: int, rows: int = 4) -> TurnRecord:
    """A call of one request: incomes are 10 s old and fresh, every second city is missing."""
    made = turn(VERSION, [7], rows=rows)
    missing = np.arange(rows) % 2 == 1
    made.feature_status = np.stack([np.zeros(rows), np.where(missing, 3, 0)], axis=1).astype(np.uint8)
    shops = np.where(missing, 0, at_us - 100 * SECOND_US)
    made.event_times = np.stack([np.full(rows, at_us - 10 * SECOND_US), shops], axis=1)
    return made


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """A log with four such rows, and one for a test."""
    log = SlotLog(tmp_path)
    at_us = log.writer._last_us
    log.write(completed(at_us))
    probing = completed(at_us)
    probing.requests[0].purpose = "test"
    log.write(probing)
    log.writer.close()
    return tmp_path


def profile_in(root: Path, profile: bytes | None = None) -> tuple[ReferenceProfile, MonitorDb]:
    """The reference that windows of the log are counted with, and the book with them."""
    db = MonitorDb(root / "monitor.db")
    follower = Follower(
        lambda: {0: root / "slots" / "0" / "log"},
        db,
        Archiver(root / "archive", db, Ages(), print),
        FollowerSettings(0.0, watched=Watched(find_profile=lambda model, version: profile)),
        print,
    )
    follower.step(0)
    return db.references("fraud")[-1].profile, db


def test_filled_columns_are_features_and_their_ages_are_counted(written: Path) -> None:
    """Without a reference, too: roles, ages in cells, and one rate of stale values for each feature."""
    profile, db = profile_in(written)
    roles = {one.name: one.role for one in profile.features}
    assert [roles[name] for name in ("age", "income", "city")] == ["input", "feature", "feature"]
    assert {roles[name] for name in AGES} == {"feature_age"}
    assert profile.stored == NAMES
    (stored,) = db.panes("fraud", 0, 2**62)
    starts = profile.offsets()
    for name, cell, rows in ((AGES[0], "8 to 16", 4), (AGES[1], "64 to 128", 2), (AGES[1], "null", 2)):
        place = [one.name for one in profile.features].index(name)
        names = profile.features[place].cells.names
        assert stored.pane.counts[starts[place] + names.index(cell)] == rows
    rates = QualityRates(profile)
    counted = dict(zip(rates.rates, zip(*rates.count(stored.pane), strict=True), strict=True))
    assert counted[QualityRate("stale_feature", "shops.city")] == (2, 4)
    assert counted[QualityRate("stale_feature", "users.income")] == (0, 4)
    assert counted[QualityRate("stale_feature", "")] == (2, 8)
    assert counted[QualityRate("schema", "")] == (0, 4)


def test_records_keep_when_the_events_were(written: Path) -> None:
    """Event times are in the archive, null where nothing usable was written."""
    (first, _) = blocks_of(reader(written).read())
    table = table_of([first])
    assert table["event_time.shops"].null_count == 2
    records = version_records(table)
    times = next(column.values for column in records.columns if column.name == "event_time.users")
    assert ((records.recorded_us - times) // SECOND_US).tolist() == [10] * 4


def test_a_reference_of_traffic_has_features_ages_and_latency(written: Path) -> None:
    """Of what windows count, which tests and probes are not, with the roles that the old one had."""
    old, db = profile_in(written)
    db.close()
    places = Places(written / "monitor.db", written / "archive", lambda: {0: written / "slots" / "0" / "log"})
    sample = TrafficSample(places, RecordFilter("fraud", 3, code=ANSWERED, purposes=WATCHED_PURPOSES), old)
    while sample.step():
        pass
    profile = sample.get()
    assert profile is not None
    assert profile.rows == 4
    assert {one.name: one.role for one in profile.features} == {one.name: one.role for one in old.features}
    assert (profile.stored, profile.stale, profile.stale_of) == (NAMES, (0, 2), 4)
    found = {one.name: one for one in profile.features}
    assert (found[AGES[0]].rows, found[LATENCY].rows) == (4, 4)


def test_a_profile_of_other_columns_is_told(written: Path) -> None:
    """Rows with columns that their profile lacks, or without some that it has, are a rate of their own."""
    sample = ReferenceSample(stored=StoredNames(NAMES, ("users",)))
    sample.update([], np.zeros(0, np.uint64))
    profile, db = profile_in(written, encode_profile(sample.get("training")))
    assert [one.name for one in profile.features] == [LATENCY, AGES[0]]
    (stored,) = db.panes("fraud", 0, 2**62)
    assert stored.pane.quality.mismatched == 4
