"""`driftgate log` over real files: what it finds, how it prints, and its exit codes."""

import csv
import io
import json
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import Result

from driftgate.gateway.cli.log_times import parse_time_us
from driftgate.gateway.layout import StateLayout
from driftgate.monitoring.archive.files import Ages
from driftgate.monitoring.book.archiver import Archiver
from driftgate.monitoring.book.follower import Follower, FollowerSettings
from driftgate.monitoring.book.monitor_db import MonitorDb
from driftgate.monitoring.log.record import RequestRecord, TurnRecord
from driftgate.monitoring.log.store import now_us

from harness.command_line import driftgate
from harness.records import SlotLog, failure, prediction_id, turn, version


def call(*words: object) -> Result:
    """Run `driftgate log`."""
    return driftgate("log", *words)


def recent(*numbers: int, **fields: object) -> TurnRecord:
    """A turn whose ids say that its requests have just arrived."""
    at_us = now_us()
    one = turn(version(), numbers, **fields)  # type: ignore[arg-type]
    for request, number in zip(one.requests, numbers, strict=True):
        request.prediction_id, request.arrived_us = prediction_id(number, at_us), at_us
    return one


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """Records 1 to 3 in the archive, 4 to 6 in the log only; 3 and 6 of another arm, 5 a failure."""
    log = SlotLog(tmp_path)
    log.write(recent(1, 2), recent(3, arm="canary"))
    archive(tmp_path)
    refused = failure(version(), 5, code=422)
    refused.requests[0] = RequestRecord(prediction_id(5, now_us()), 0, now_us(), code=422)
    log.write(recent(4), refused, recent(6, arm="canary", client_id="order-7"))
    return tmp_path


def archive(root: Path) -> None:
    """Archive all that is there, as the monitor does."""
    layout = StateLayout(root)
    db = MonitorDb(layout.monitor_db)
    archiver = Archiver(layout.archive, db, Ages(), print)
    follower = Follower(lambda: {0: layout.log(0)}, db, archiver, FollowerSettings(), print)
    follower.finish(now_us(), 5.0)
    db.close()


def numbers(result: Result) -> list[int]:
    """The numbers in the ids of printed JSON lines."""
    assert result.exit_code == 0, result.output
    return [int(json.loads(line)["prediction_id"][-6:], 16) for line in result.stdout.splitlines()]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((), {1, 2, 3, 4, 5, 6}),
        (("--model", "fraud"), {1, 2, 3, 4, 5, 6}),
        (("--model", "other"), set()),
        (("--arm", "canary"), {3, 6}),
        (("--code", "422"), {5}),
        (("--version", "3"), {1, 2, 3, 4, 5, 6}),
        (("--version", "4"), set()),
        (("--since", "1h"), {1, 2, 3, 4, 5, 6}),
        (("--until", "1h"), set()),
        (("--since", "2001-01-01", "--until", "2001-01-02T00:00"), set()),
    ],
)
def test_records_are_found_in_archive_and_log(
    state: Path, words: tuple[str, ...], expected: set[int]
) -> None:
    """Each record is found once, in the archive or the log, by model, version, arm, code and time."""
    found = numbers(call("query", "--json", "--state", state, *words))
    assert set(found) == expected
    assert len(found) == len(expected)


def test_the_latest_come_first_and_only_so_many(state: Path) -> None:
    """`--limit` keeps the latest, from the log or the archive."""
    assert numbers(call("query", "--json", "--state", state, "--limit", 2)) == [6, 5]
    archive(state)
    assert numbers(call("query", "--json", "--state", state, "--limit", 4)) == [6, 5, 4, 3]


def test_people_get_a_table_and_spreadsheets_csv(state: Path) -> None:
    """A table with the model's first columns; CSV with all of them and one header."""
    shown = call("query", "--state", state).stdout
    assert "PREDICTION" in shown
    assert "age=6" in shown
    assert "canary" in shown
    rows = list(csv.DictReader(io.StringIO(call("query", "--csv", "--state", state).stdout)))
    assert len(rows) == 6
    assert {row["city"] for row in rows} == {"", *(f"city {number}" for number in (1, 2, 3, 4, 6))}
    assert call("query", "--csv", "--json", "--state", state).exit_code == 2


def test_a_prediction_is_shown_with_everything(state: Path) -> None:
    """By the id that its answer carried, whether archived or not; values that steer terminals are escaped."""
    log = SlotLog(state, slot=1)
    evil = recent(7, rows=2, client_id="\x1b[31mred\x00")
    log.write(evil)
    shown = call("show", evil.requests[0].prediction_id, "--state", state)
    assert shown.exit_code == 0
    assert shown.stdout.count("age") == 2
    assert "\\x1b[31mred\\x00" in shown.stdout
    assert "\x1b" not in shown.stdout
    known = json.loads(call("query", "--json", "--state", state, "--arm", "canary").stdout.splitlines()[-1])
    again = call("show", known["prediction_id"], "--json", "--state", state)
    assert json.loads(again.stdout) == known


def test_an_export_is_one_parquet_file(state: Path, tmp_path: Path) -> None:
    """`export` writes archive and log into one file that pandas reads."""
    out = tmp_path / "out.parquet"
    done = call("export", "--model", "fraud", "--out", out, "--state", state)
    assert done.exit_code == 0
    assert "6 records" in done.stdout
    frame = pd.read_parquet(out)
    assert sorted(frame["age"].fillna(-1)) == [-1, 1, 2, 3, 4, 6]
    call("export", "--model", "fraud", "--out", out, "--arm", "canary", "--state", state)
    assert pd.read_parquet(out)["arm"].tolist() == ["canary", "canary"]
    nowhere = call("export", "--model", "fraud", "--out", tmp_path / "no" / "out.parquet", "--state", state)
    assert nowhere.exit_code == 1
    assert "cannot be written" in nowhere.stderr


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (("show", "hello"), 2, "x-prediction-id"),
        (("show", "41bb33c6-6595-4048-825e-427d51d4320d"), 2, "x-prediction-id"),
        (("show", prediction_id(77)), 3, "no record of prediction"),
        (("query", "--since", "yesterday"), 2, "15m, 2h, 7d"),
        (("query", "--limit", "0"), 2, "--limit"),
    ],
)
def test_mistakes_are_explained(state: Path, words: tuple[str, ...], code: int, text: str) -> None:
    """What was wrong and what to do is on standard error, with a code that means it."""
    result = call(*words, "--state", state)
    assert result.exit_code == code
    assert text in result.stderr


def test_a_place_that_is_no_state_directory_is_said(tmp_path: Path) -> None:
    """A wrong directory is not the same as no records."""
    result = call("query", "--state", tmp_path / "nothing")
    assert result.exit_code == 3
    assert "--state" in result.stderr


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("15m", 10**15 - 900 * 10**6),
        ("7d", 10**15 - 7 * 86_400 * 10**6),
        ("1970-01-01T00:00:01", 10**6),
        ("1970-01-01T01:00:01+01:00", 10**6),
    ],
)
def test_times_are_read_as_people_type_them(text: str, expected: int) -> None:
    """Ages count back from now; dates without an offset are UTC."""
    assert parse_time_us(text, 10**15) == expected
