"""One word for an arm: what matters most comes first, with a reason and what to do."""

import pytest
from msgspec.structs import asdict

from driftgate.gateway.dashboard.arm_state import MINUTE_US, ArmFacts, Word, arm_states

NOW_US = 1_790_000_000_000_000
CALM = {
    "model": "m",
    "version": 1,
    "now_us": NOW_US,
    "monitor_at_us": NOW_US - 1_000_000,
    "window_us": NOW_US - MINUTE_US,
    "source": "training",
}


@pytest.mark.parametrize(
    ("differs", "word"),
    [
        ({}, "ok"),
        ({"monitor_at_us": 0}, "stale"),
        ({"monitor_at_us": NOW_US - MINUTE_US, "bad": "null age"}, "stale"),
        ({"window_us": 0}, "no_data"),
        ({"window_us": NOW_US - 10 * MINUTE_US, "drifting": "age"}, "no_data"),
        ({"bad": "null age", "drifting": "age"}, "bad_data"),
        ({"drifting": "age", "observing": True}, "drifting"),
        ({"drifting": "age", "unusual": "new value city"}, "drifting"),
        ({"unusual": "new value city", "observing": True}, "unusual_data"),
        ({"waiting": True}, "not_enough_data"),
        ({"source": "none"}, "not_enough_data"),
        ({"observing": True}, "observing"),
    ],
)
def test_what_matters_most_is_said(differs: dict[str, object], word: Word) -> None:
    """A monitor that is silent hides all else; bad data come before drift, and drift before calm."""
    found = arm_states(ArmFacts(**{**CALM, **differs}))  # type: ignore[arg-type]  # a table of fields
    assert found[0].word == word


def test_whatever_is_not_well_says_why_and_what_to_do() -> None:
    """Every word but OK has a reason and advice."""
    for differs in ({"monitor_at_us": 0}, {"window_us": 0}, {"bad": "x"}, {"drifting": "x"}, {"source": ""}):
        found = arm_states(ArmFacts(**{**CALM, **differs}))  # type: ignore[arg-type]  # a table of fields
        assert all(asdict(one)[name] for one in found for name in ("why", "todo")), differs


def test_what_is_found_beside_it_is_said_too() -> None:
    """Bad data do not hide that something drifts; silence hides both."""
    both = CALM | {"bad": "null age", "drifting": "age"}
    assert [one.word for one in arm_states(ArmFacts(**both))] == ["bad_data", "drifting"]  # type: ignore[arg-type]
    silent = both | {"monitor_at_us": 0}
    assert [one.word for one in arm_states(ArmFacts(**silent))] == ["stale"]  # type: ignore[arg-type]
