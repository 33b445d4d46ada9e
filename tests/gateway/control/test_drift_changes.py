"""What operators may ask about drift: who is armed, observed and acknowledged, and what is refused."""

import pytest
from msgspec.structs import replace

from driftgate.gateway.control.changes import Subject
from driftgate.gateway.control.drift_changes import acknowledge, arm, observe
from driftgate.gateway.control.reference_changes import rebaseline
from driftgate.gateway.errors import Conflict
from driftgate.gateway.monitor.watched import drift_plan
from driftgate.gateway.state.desired import Armed, DesiredModel, HeldVersion, ReferenceWindow, TrafficSplit
from driftgate.models.registry.settings import ModelDriftSettings, ModelSettings

from harness.decisions import facts, registry

HOURS = Armed(9_000, 1_000, 8_000)


def subject(mode: str = "observe", **armed: Armed) -> Subject:
    """Model `m` with versions 1 and 2 in memory, of which some are armed, as `v1=...`."""
    settings = ModelSettings(drift=ModelDriftSettings(mode=mode))  # type: ignore[arg-type]  # of a table
    held = tuple(HeldVersion(number, f"d{number}", 1) for number in (1, 2))
    known = {name.removeprefix("v"): one for name, one in armed.items()}
    model = DesiredModel(TrafficSplit(""), settings, held=held, armed=known)
    return Subject("m", model, facts(registry(1, 2)), "anna")


def test_arming_one_version_leaves_the_others() -> None:
    """Each version is armed by itself; one that is not in memory any more is forgotten."""
    asked = arm(subject(v1=Armed(5), v7=Armed(6)), 2, HOURS)
    assert asked.armed == {"1": Armed(5), "2": HOURS}


@pytest.mark.parametrize(
    ("mode", "version", "said"), [("off", 1, "not watched"), ("observe", 3, "held are: 1, 2")]
)
def test_what_cannot_be_armed_is_said(mode: str, version: int, said: str) -> None:
    """A version that is not there, or a model that is not watched, is a conflict that says what to do."""
    with pytest.raises(Conflict, match=said):
        arm(subject(mode), version, HOURS)


def test_observing_ends_one_or_all() -> None:
    """Without a version all are observed; one that is not armed, or armed by its file, is refused."""
    both = subject(v1=Armed(5), v2=Armed(6))
    assert observe(both, 1).armed == {"2": Armed(6)}
    assert observe(both, None).armed == {}
    with pytest.raises(Conflict, match="not armed"):
        observe(subject(v1=Armed(5)), 2)
    with pytest.raises(Conflict, match=r"model\.toml"):
        observe(subject("armed"), None)


def test_a_new_reference_is_observed_again() -> None:
    """Whoever armed did so for the reference that there was; other versions stay armed."""
    window = ReferenceWindow(1, 0, 60_000_000)
    assert rebaseline(subject(v1=Armed(5), v2=Armed(6)), window).armed == {"2": Armed(6)}


@pytest.mark.parametrize(
    ("mode", "armed", "notifies", "is_watched"),
    [
        ("observe", {}, False, True),
        ("observe", {"v1": HOURS}, True, True),
        ("armed", {}, True, True),
        ("off", {"v1": HOURS}, True, False),
    ],
)
def test_a_plan_follows_settings_and_operators(
    mode: str, armed: dict[str, Armed], notifies: bool, is_watched: bool
) -> None:
    """Settings arm all versions or none are watched; operators arm one, with the hours that were learnt."""
    plan = drift_plan(subject(mode, **armed).model, 1)
    assert (plan.notifies, plan.is_watched) == (notifies, is_watched)
    assert plan.judging.learnt == ((1_000, 8_000) if armed else None)


def test_what_is_acknowledged_counts_no_more() -> None:
    """Evidence begins with the later one of arming and acknowledging."""
    asked = acknowledge(subject(v1=HOURS), 20_000)
    assert drift_plan(asked, 1).forget_us == 20_000
    assert drift_plan(replace(asked, drift_acknowledged_us=1), 1).forget_us == HOURS.since_us
