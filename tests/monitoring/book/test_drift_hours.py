"""Hours that versions are judged by: what is told where there are no windows to learn them from."""

import pytest

from driftgate.monitoring.book.drift_hours import HoursKeeper
from driftgate.monitoring.drift.plan import Judging
from driftgate.monitoring.drift.seasons import WEEK_US
from driftgate.monitoring.reference.profile import decode_profile, profile_id
from driftgate.monitoring.windows.pane import ALL_ROWS

from harness.drift_logs import people_profile


@pytest.mark.parametrize(("segment", "told"), [(ALL_ROWS, 1), ("age=30 to 36", 0)])
def test_only_a_version_without_windows_has_lost_them(segment: str, told: int) -> None:
    """A segment that is younger than the hours has none, which is no problem: nothing is said of it."""
    problems: list[str] = []
    data = people_profile()
    hours = HoursKeeper(lambda *_: [], {}, problems.append)
    judging = Judging(learnt=(0, 2 * WEEK_US))
    learn = hours.of(("m", 1), profile_id(data), decode_profile(data), judging)
    seasons = learn(segment)
    assert seasons is not None
    assert not seasons.cells.rows.any()
    assert len(problems) == told
