"""A budget of false alarms becomes run lengths of tests."""

import pytest

from driftgate.monitoring.drift.budget import FalseAlarmBudget, Receiver, alarm_targets, parse_budget

WEEK_S = 604_800.0


@pytest.mark.parametrize(
    ("text", "every_s"),
    [
        ("1 in 4w", 4 * WEEK_S),
        ("1 in 30d", 30 * 86_400.0),
        (" 1  in 12 h ", 43_200.0),
        ("1 in 0.5w", WEEK_S / 2),
    ],
)
def test_budgets_are_written_as_people_say_them(text: str, every_s: float) -> None:
    """One in so many hours, days or weeks."""
    assert parse_budget(text).every_s == every_s


@pytest.mark.parametrize("text", ["", "4w", "1 in 0w", "2 in 4w", "1 in 4 months", "1 in -1d", "1 in 1e9d"])
def test_what_is_no_budget_is_refused_with_an_example(text: str) -> None:
    """The error shows how to write one."""
    with pytest.raises(ValueError, match="1 in 4w"):
        parse_budget(text)


def test_all_tests_of_a_receiver_share_its_budget() -> None:
    """Two models with five live tests get five times the run length each; others' models do not count."""
    receivers = {
        "risk": Receiver("risk", frozenset({"fraud", "churn", "unused"})),
        "ops": Receiver("ops", frozenset({"fraud"}), FalseAlarmBudget(WEEK_S)),
    }
    found = alarm_targets(receivers, {"fraud": 2, "churn": 3, "price": 9, "unused": 0}, 60.0)
    assert found == {
        ("risk", "churn"): 5 * 40_320.0,
        ("risk", "fraud"): 5 * 40_320.0,
        ("ops", "fraud"): 2 * 10_080.0,
    }


def test_a_budget_shorter_than_a_window_is_refused() -> None:
    """One alarm in an hour cannot be kept with windows of two."""
    with pytest.raises(ValueError, match="'ops'"):
        alarm_targets({"ops": Receiver("ops", frozenset({"m"}), FalseAlarmBudget(3600.0))}, {"m": 1}, 7200.0)
