"""The monitor's alerts: what is found is told once, over a restart too, and what people ask is done once."""

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from driftgate.gateway.errors import StateUnusable
from driftgate.gateway.layout import StateLayout
from driftgate.gateway.logs import Logger
from driftgate.gateway.monitor.alert_post import AlertPost
from driftgate.gateway.monitor.alerting import Alerting
from driftgate.gateway.settings import AlertSettings, ReceiverSettings
from driftgate.gateway.state.alert_requests import (
    MOST_WAITING,
    Acknowledge,
    AlertRequest,
    AlertRequests,
    BeSilent,
    EndSilence,
    TryReceivers,
)
from driftgate.models.registry.settings import ModelSettings
from driftgate.monitoring.alerts.alert import Finding, Rule, State
from driftgate.monitoring.alerts.book import RESOLVE_AFTER_US, Silence
from driftgate.monitoring.alerts.notification import NotificationDocument
from driftgate.monitoring.book.alert_tables import AlertPage
from driftgate.monitoring.book.monitor_db import MonitorDb

from harness.gateway import until

SECOND_US = 1_000_000
DRIFT = Finding(rule=Rule.DRIFT, model="m", version=1, window_us=0, text="age rises")
DELIVERED_WITHIN_S = 10.0


class Monitor:
    """One monitor's alerts on a state directory, whose receiver appends what it is told to a file."""

    def __init__(self, root: Path, command: tuple[str, ...] = (), other: tuple[str, ...] = ()) -> None:
        self.layout, self.heard_at = StateLayout(root), root / "heard"
        self.now_us, self.problems = 0, list[str]()
        receivers = {"file": ReceiverSettings(command=command or ("tee", "-a", str(self.heard_at)))}
        if other:
            receivers["other"] = ReceiverSettings(command=other)
        settings = AlertSettings(receivers=receivers)
        self.db = MonitorDb(self.layout.monitor_db)
        post = AlertPost(settings, lambda: {"m": ModelSettings(owner="ada")}, self.problems.append)
        self.alerting = Alerting(self.db, self.layout, post, Logger("test"))
        self.requests = AlertRequests(self.layout.alert_requests, lambda: self.alerting.status(0).request)

    def step(self, *findings: Finding, after_us: int = SECOND_US) -> None:
        """Go on for a second, or so."""
        self.now_us += after_us
        self.alerting.step(lambda: findings, self.now_us)

    def ask(self, request: AlertRequest) -> None:
        """Hand over a request and carry it out."""
        self.requests.add(request)
        self.step(DRIFT)

    def heard(self, count: int) -> list[NotificationDocument]:
        """Return what the receiver heard, once it is so many documents."""

        def documents() -> list[NotificationDocument]:
            data = self.heard_at.read_bytes() if self.heard_at.exists() else b""
            return msgspec.json.decode(
                b"[" + data.replace(b"}{", b"},{") + b"]", type=list[NotificationDocument]
            )

        until(lambda: len(documents()) >= count, DELIVERED_WITHIN_S, "the receiver is told")
        return documents()

    def page(self) -> AlertPage:
        """Return what others can read of the alerts."""
        return self.db.alert_page(None, 0, 100)

    def close(self) -> None:
        """End as a monitor does."""
        self.alerting.close()
        self.db.close()


@pytest.fixture(name="begin")
def begin_fixture(tmp_path: Path) -> Iterator[Callable[..., Monitor]]:
    """Begin monitors, one after the other, on one state directory."""
    begun: list[Monitor] = []

    def begin(command: tuple[str, ...] = (), other: tuple[str, ...] = ()) -> Monitor:
        for monitor in begun:
            monitor.close()
        begun[:] = [Monitor(tmp_path, command, other)]
        return begun[0]

    yield begin
    for monitor in begun:
        monitor.close()


def test_a_finding_is_told_and_written_down(begin: Callable[..., Monitor]) -> None:
    """The receiver hears of an alert and of its end; both stand in the book, with who was told."""
    monitor = begin()
    monitor.step(DRIFT)
    assert [one.alerts[0].said for one in monitor.heard(1)] == [State.FIRING]
    assert monitor.heard(1)[0].alerts[0].owner == "ada"
    monitor.step()
    monitor.step(after_us=RESOLVE_AFTER_US)
    assert [one.alerts[0].said for one in monitor.heard(2)] == [State.FIRING, State.RESOLVED]

    def notified() -> list[State]:
        monitor.step()
        return [one.said for one in monitor.page().alerts[0].notified]

    until(lambda: notified() == [State.FIRING, State.RESOLVED], DELIVERED_WITHIN_S, "deliveries are noted")


def test_a_restart_tells_nothing_twice(begin: Callable[..., Monitor]) -> None:
    """A monitor goes on with the alerts of the one before, whose receivers have heard of them."""
    monitor = begin()
    monitor.step(DRIFT)
    monitor.heard(1)

    def noted() -> bool:
        monitor.step(DRIFT)
        return bool(monitor.page().alerts[0].notified)

    until(noted, DELIVERED_WITHIN_S, "the delivery is noted")
    later = begin()
    later.now_us = monitor.now_us
    later.step(DRIFT)
    assert len(later.page().alerts) == 1
    later.ask(TryReceivers("m", "ada"))
    assert [one.alerts[0].rule for one in later.heard(2)] == [Rule.DRIFT, Rule.TEST]


def test_what_was_not_delivered_is_told_by_the_next_monitor(begin: Callable[..., Monitor]) -> None:
    """An alert that no receiver took before the monitor ended is told after its restart."""
    monitor = begin(("false",))
    monitor.step(DRIFT)
    until(lambda: bool(monitor.problems), DELIVERED_WITHIN_S, "the attempt fails")
    assert monitor.alerting.status(0).receivers[0].failing
    later = begin()
    later.step(DRIFT)
    assert len(later.heard(1)) == 1


def test_only_those_who_have_not_heard_are_told_again(begin: Callable[..., Monitor], tmp_path: Path) -> None:
    """Of two receivers the one that failed before the restart is told after it, the other is not."""
    monitor = begin(other=("false",))
    monitor.step(DRIFT)

    def noted() -> bool:
        monitor.step(DRIFT)
        return [one.receiver for one in monitor.page().alerts[0].notified] == ["file"]

    until(noted, DELIVERED_WITHIN_S, "one delivery is noted")
    later = begin(other=("tee", str(tmp_path / "other")))
    later.step(DRIFT)
    until((tmp_path / "other").exists, DELIVERED_WITHIN_S, "the other is told")
    assert len(later.heard(1)) == 1


def test_requests_are_carried_out_once(begin: Callable[..., Monitor]) -> None:
    """An acknowledgement stays one over a restart, and says who and why."""
    monitor = begin()
    monitor.step(DRIFT)
    monitor.ask(Acknowledge(monitor.page().alerts[0].id, "ada", "a known season"))
    assert [finding.model for finding in monitor.alerting.acknowledged()] == ["m"]
    later = begin()
    later.step(DRIFT, after_us=10 * SECOND_US)
    assert later.alerting.acknowledged() == []
    alert = later.page().alerts[0]
    assert (alert.state, alert.who, alert.why) == (State.ACKNOWLEDGED, "ada", "a known season")


def test_a_silence_is_kept_and_counted(begin: Callable[..., Monitor]) -> None:
    """A silence hushes over a restart, is a figure, and its end lets the alert fire."""
    monitor = begin()
    silence = Silence(id="s", model="m", who="ada", why="migration", since_us=0, until_us=10**15)
    monitor.ask(BeSilent(silence))
    later = begin()
    later.step(DRIFT, after_us=10 * SECOND_US)
    status = later.alerting.status(later.now_us)
    assert [(one.state, one.count) for one in status.alerts] == [(State.SILENCED, 1)]
    assert [(one.model, one.count) for one in status.silences] == [("m", 1)]
    later.ask(EndSilence("s"))
    assert [one.state for one in later.page().alerts] == [State.FIRING]
    assert len(later.heard(1)) == 1


def test_a_request_that_is_too_late_changes_nothing(begin: Callable[..., Monitor]) -> None:
    """An acknowledgement of an alert that is gone is noted, and the next request is carried out."""
    monitor = begin()
    monitor.ask(Acknowledge("gone", "ada", "?"))
    monitor.ask(Acknowledge(monitor.page().alerts[0].id, "ada", "!"))
    assert monitor.page().alerts[0].state is State.ACKNOWLEDGED


def test_requests_that_nobody_takes_are_refused(tmp_path: Path) -> None:
    """While no monitor runs, so many requests wait and no more; once some are done there is room."""
    done = 0
    requests = AlertRequests(tmp_path / "requests.json", lambda: done)
    for number in range(1, MOST_WAITING + 1):
        assert requests.add(EndSilence("s")) == number
    with pytest.raises(StateUnusable, match="wait for the monitor"):
        requests.add(EndSilence("s"))
    done = 10
    assert requests.add(EndSilence("s")) == MOST_WAITING + 1


def test_a_clock_that_steps_back_stops_nothing(begin: Callable[..., Monitor]) -> None:
    """After a step of an hour back what is found is told as before."""
    monitor = begin()
    monitor.step(after_us=7200 * SECOND_US)
    monitor.step(DRIFT, after_us=-3600 * SECOND_US)
    assert len(monitor.heard(1)) == 1


def test_a_full_disk_keeps_nobody_from_being_told(begin: Callable[..., Monitor]) -> None:
    """A book that cannot be written does not stop notifications."""
    monitor = begin()
    monitor.db.close()
    monitor.step(DRIFT)
    assert len(monitor.heard(1)) == 1
