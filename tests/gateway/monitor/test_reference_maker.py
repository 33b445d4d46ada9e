"""A reference is made when somebody asks for it, or when a version without one has had a day of traffic."""

import pytest

from driftgate.gateway.monitor.reference_maker import (
    FIRST_DAY_US,
    LEAST_ROWS,
    Wanted,
    wanted_references,
)
from driftgate.gateway.state.desired import DesiredModel, DesiredState, ReferenceWindow, TrafficSplit
from driftgate.monitoring.reference.book import Reference
from driftgate.monitoring.reference.features import latency_feature
from driftgate.monitoring.reference.profile import FORMAT, ReferenceProfile, Source
from driftgate.monitoring.windows.observed import LATENCY

FIRST_US = 1_000_000


def known(source: Source, first_us: int = 0, end_us: int = 0) -> Reference:
    """The reference of version 1 of `m`."""
    features = (latency_feature(LATENCY),)
    profile = ReferenceProfile(FORMAT, source, 10, features, first_us=first_us, last_us=end_us)
    return Reference("m", 1, 0, "id", profile, b"")


def asked(version: int = 1) -> DesiredState:
    """A state in which a reference of the first hour is asked for."""
    window = ReferenceWindow(version, FIRST_US, FIRST_US + 3600)
    model = DesiredModel(split=TrafficSplit(""), reference=window)
    return DesiredState(generation=1, previous="", who="ada", why="", at="", models={"m": model})


def test_what_is_asked_for_is_made_once() -> None:
    """A window is wanted until the newest reference is of it; a version that was never met has to wait."""
    wanted = [Wanted("m", 1, FIRST_US, FIRST_US + 3600)]
    assert wanted_references(asked(), [known("training")], {}, FIRST_US) == wanted
    assert wanted_references(asked(), [known("traffic", FIRST_US, FIRST_US + 3600)], {}, FIRST_US) == []
    assert wanted_references(asked(), [known("traffic", 5, 6)], {}, FIRST_US) == wanted
    assert wanted_references(asked(2), [known("training")], {}, FIRST_US) == []


def test_the_first_day_is_the_reference_of_a_version_without_one() -> None:
    """Not before a day is over, never in the place of another reference, and not of a handful of rows."""
    seen = {("m", 1): FIRST_US}
    over = FIRST_US + FIRST_DAY_US
    assert wanted_references(None, [known("none")], seen, over - 1) == []
    assert wanted_references(None, [known("traffic", 5, 6)], seen, over) == []
    assert wanted_references(None, [known("none")], seen, over) == [
        Wanted("m", 1, FIRST_US, FIRST_US + FIRST_DAY_US, LEAST_ROWS)
    ]
    assert wanted_references(None, [known("none")], {}, over) == []


@pytest.mark.parametrize(("days", "looked_at"), [(0.9, 0), (1, 1), (3.5, 3), (40, 7)])
def test_training_rows_are_completed_once_by_days_of_traffic(days: float, looked_at: int) -> None:
    """Latency is taken from the first day, or from the week if that had few rows; then nothing is wanted."""
    seen, now_us = {("m", 1): FIRST_US}, FIRST_US + int(days * FIRST_DAY_US)
    end_us = FIRST_US + looked_at * FIRST_DAY_US
    expected = [Wanted("m", 1, FIRST_US, end_us, LEAST_ROWS, completes=True)] if looked_at else []
    assert wanted_references(None, [known("training")], seen, now_us) == expected
    assert wanted_references(None, [known("training", 5, 6)], seen, now_us) == []
    assert wanted_references(asked(), [known("training")], seen, now_us)[0].completes is False
