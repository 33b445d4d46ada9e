import pytest

from loadtests.bench.goals import BESIDE, GOALS, HALF, cells
from loadtests.bench.measure import (
    Cell,
    Finding,
    Goal,
    Measurement,
    judge,
    medians,
    ratio,
    slope,
    without_errors,
)

OURS = Cell("ours", "tiny", "json", 16)
FLOOR = Cell("floor", "tiny", "json", 16)


def measured(cell: Cell, number: int, rate: float, errors: int = 0) -> Measurement:
    return Measurement(cell, number, rate, 1000 / rate, 3000 / rate, 1e6 / rate, errors)


def test_medians_are_taken_over_rounds() -> None:
    """One bad round does not move what is shown, and errors of any round are."""
    rounds = [measured(OURS, number, rate, errors=number == 2) for number, rate in enumerate((10, 20, 1000))]
    middle = medians(rounds)[OURS]
    assert (middle.rate, middle.p50_ms, middle.errors) == (20, 50, 1)


@pytest.mark.parametrize(
    ("ours", "floor", "expected"),
    [
        ([20, 20, 20], [10, 10, 10], 2.0),
        ([10, 20, 40], [10, 20, 40], 1.0),
        ([10, 200, 40], [10, 20, 40], 1.0),
        ([30], [10, 20, 40], 3.0),
        ([], [10], None),
        ([10], [], None),
    ],
)
def test_ratios_are_taken_within_a_round(
    ours: list[float], floor: list[float], expected: float | None
) -> None:
    """A machine that is slower in one round slows both sides of that round's ratio."""
    found = [measured(OURS, number, rate) for number, rate in enumerate(ours)]
    found += [measured(FLOOR, number, rate) for number, rate in enumerate(floor)]
    assert ratio(found, OURS, FLOOR, "rate") == expected


@pytest.mark.parametrize(
    ("rate", "at_least", "at_most", "met"),
    [(12, 1.2, None, True), (11, 1.2, None, False), (11, None, 1.15, True), (12, None, 1.15, False)],
)
def test_goals_are_bounds_on_ratios(
    rate: float, at_least: float | None, at_most: float | None, met: bool
) -> None:
    """A goal is met on its bound and on the right side of it."""
    goal = Goal("g", OURS, FLOOR, "rate", at_least, at_most)
    assert judge(goal, [measured(OURS, 1, rate), measured(FLOOR, 1, 10)]).met is met


def test_what_was_not_measured_is_not_met() -> None:
    """A goal without figures fails loudly rather than being passed over."""
    goal = Goal("g", OURS, FLOOR, "rate", at_least=1.0)
    assert judge(goal, []) == Finding("g", "≥ 1", "not measured", False)


def test_a_server_that_fails_has_no_figures() -> None:
    """Errors of any server, the floor's included, spoil the run and name the cell."""
    assert without_errors([measured(OURS, 1, 10)]).met
    finding = without_errors([measured(OURS, 1, 10), measured(FLOOR, 1, 10, errors=3)])
    assert (finding.met, finding.figure) == (False, str(FLOOR))


def test_every_goal_is_measured() -> None:
    """Both cells of each goal are among those that a round measures."""
    known = set(cells()) | {Cell(f"ours {how}", "tiny", "json", 64) for how in (HALF, BESIDE)}
    assert {cell for goal in GOALS for cell in (goal.ours, goal.other)} <= known


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        ([(0, 1), (1, 3), (2, 5)], 2.0),
        ([(0, 5), (1, 5), (2, 5)], 0.0),
        ([(0, 0), (1, 3), (2, 0)], 0.0),
        ([(1, 7)], 0.0),
        ([], 0.0),
    ],
)
def test_the_slope_is_that_of_least_squares(points: list[tuple[float, float]], expected: float) -> None:
    """Growth is the slope of a line through all looks, not the difference of two."""
    assert slope(points) == pytest.approx(expected)
