"""Alerts in the book: written with their changes, read by anybody, forgotten when they are old."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from msgspec.structs import replace

from driftgate.monitoring.alerts.alert import Alert, Finding, NamedFeature, Notified, Rule, State, new_alert
from driftgate.monitoring.alerts.book import AlertBook, Silence
from driftgate.monitoring.book.alert_tables import AlertChanges, AlertPage
from driftgate.monitoring.book.monitor_db import MonitorDb

SILENCE = Silence(id="s", model="m", who="ada", why="known", since_us=1, until_us=9)


def alert(model: str = "m", first_us: int = 5, state: State = State.FIRING) -> Alert:
    """Return an alert with something in every field."""
    features = (NamedFeature("age", "null", 4.5),)
    finding = Finding(
        rule=Rule.BROKEN_DATA, model=model, version=2, features=features, window_us=4, text="nulls"
    )
    told = (Notified(6, "oncall", State.FIRING),)
    return replace(new_alert(finding, first_us), state=state, notified=told, who="ada", why="it is mine")


@pytest.fixture(name="db")
def db_fixture(tmp_path: Path) -> Iterator[MonitorDb]:
    """An empty book."""
    with closing(MonitorDb(tmp_path / "monitor.db")) as db:
        yield db


def test_a_book_is_what_was_written(db: MonitorDb) -> None:
    """Open alerts, silences and the last request come back as they were; later changes replace earlier."""
    resolved = alert("gone", state=State.RESOLVED)
    db.put_alerts(AlertChanges((alert(), resolved), (SILENCE,), 3))
    assert db.alert_book() == (AlertBook((alert(),), (SILENCE,)), 3)
    db.put_alerts(AlertChanges((replace(alert(), state=State.RESOLVED),), (), 4))
    assert db.alert_book() == (AlertBook(), 4)


def test_a_page_shows_what_is_open_first(db: MonitorDb) -> None:
    """Open alerts come first however old, then those that began lately; of one model if it is asked for."""
    old, lately, open_ = (
        alert("a", 1, State.RESOLVED),
        alert("b", 8, State.RESOLVED),
        alert("m", 2),
    )
    db.put_alerts(AlertChanges((old, lately, open_), (SILENCE,), 0))
    assert db.alert_page(None, 5, 10) == AlertPage((open_, lately), (SILENCE,))
    assert db.alert_page("b", 5, 10) == AlertPage((lately,), ())
    assert db.alert_page(None, 0, 1).alerts == (open_,)


def test_old_alerts_are_forgotten(db: MonitorDb) -> None:
    """What is resolved and old goes; what is open stays."""
    db.put_alerts(AlertChanges((alert("a", 1, State.RESOLVED), alert("m", 1)), (), 0))
    db.forget_alerts(5)
    assert [one.finding.model for one in db.alert_page(None, 0, 10).alerts] == ["m"]


def test_a_book_from_before_alerts_has_none(db: MonitorDb, tmp_path: Path) -> None:
    """A book of the format before is read without alerts, and gets room for them from its writer."""
    db.close()
    path = tmp_path / "monitor.db"
    with closing(sqlite3.connect(path)) as raw:
        raw.executescript(
            "DROP TABLE alerts; DROP TABLE silences; DROP TABLE evidence; DROP TABLE hours;"
            "PRAGMA user_version = 2;"
        )
    with closing(MonitorDb(path, read_only=True)) as reader:
        assert reader.alert_page(None, 0, 10) == AlertPage()
    with closing(MonitorDb(path)) as writer:
        writer.put_alerts(AlertChanges((alert(),), (), 1))
        assert writer.alert_book()[0].alerts == (alert(),)
