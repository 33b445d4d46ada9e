"""Steps of time: whole windows, and few enough to draw."""

import pytest

from driftgate.gateway.dashboard.history import MOST_STEPS, step_us

HOUR_US = 3600 * 1_000_000


@pytest.mark.parametrize("window_s", [1, 5, 36, 60, 300, 3600])
@pytest.mark.parametrize("hours", [1, 6, 24, 168])
def test_a_step_is_whole_windows(window_s: int, hours: int) -> None:
    """However long a window is, steps are multiples of it, and never more than can be drawn."""
    step = step_us(0, hours * HOUR_US, window_s * 1_000_000)
    assert step % (window_s * 1_000_000) == 0
    assert hours * HOUR_US / step <= MOST_STEPS


@pytest.mark.parametrize(("hours", "minutes"), [(1, 1), (6, 2), (24, 5), (168, 60)])
def test_steps_are_round(hours: int, minutes: int) -> None:
    """Of one-minute windows a day is shown in steps of five minutes."""
    assert step_us(0, hours * HOUR_US, 60_000_000) == minutes * 60_000_000
