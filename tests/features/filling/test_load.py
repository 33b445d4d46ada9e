"""A file becomes a snapshot: what fits is there, what does not is told, and a killed loader goes on."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from driftgate.features.embedded.history_parts import history_directory, parts_of
from driftgate.features.embedded.lmdb_store import LmdbFeatureStore
from driftgate.features.embedded.snapshots import ViewFiles, current_snapshot, rollback
from driftgate.features.errors import InvalidRows, StoreFull
from driftgate.features.filling.load import LoadJob, LoadReport, check, load
from driftgate.features.filling.table_rows import FileShape
from driftgate.features.filling.tables import InvalidTable, open_table
from driftgate.features.lookup.store import Fetched, Lookup
from driftgate.features.rows.layout import RowLayout
from driftgate.features.views.keys import encode_key
from driftgate.features.views.view import Feature, FeatureView, JoinKey

VIEW = FeatureView(
    name="users",
    join_keys=(JoinKey("user"),),
    features=(
        Feature("spend", "float32"),
        Feature("visits", "int32"),
        Feature("city", "string"),
        Feature("loyal", "bool"),
        Feature("place", "float64", length=2),
    ),
)
NOW_US = 1_800_000_000_000_000
TIME = "2026-01-31T12:00:00Z"
GOOD: dict[str, Any] = {
    "user": "ada",
    "event_time": TIME,
    "spend": 1.5,
    "visits": 3,
    "city": "Lyon",
    "loyal": True,
    "place": [45.75, 4.0],
}


def frame_of(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Return rows as a frame whose times are times."""
    frame = pd.DataFrame(rows)
    frame["event_time"] = pd.to_datetime(frame["event_time"], utc=True)
    return frame


def as_parquet(path: Path, rows: list[dict[str, Any]]) -> Path:
    """Write rows as Parquet."""
    frame_of(rows).to_parquet(path.with_suffix(".parquet"))
    return path.with_suffix(".parquet")


def as_csv(path: Path, rows: list[dict[str, Any]]) -> Path:
    """Write rows as CSV."""
    pd.DataFrame(rows).to_csv(path.with_suffix(".csv"), index=False)
    return path.with_suffix(".csv")


def job(root: Path, file: Path, **options: Any) -> LoadJob:
    """Return a job for a store below `root`."""
    options.setdefault("view", VIEW)
    return LoadJob(open_table(file), store=root / "store", rejected=root / "rejected.csv", **options)


def run(job: LoadJob) -> LoadReport:
    """Load without showing progress."""
    return load(job, lambda share: None, NOW_US)


def stored(root: Path, *users: str) -> dict[str, list[Any]]:
    """Return what the store has of some users: event times in s and values by feature, None where null."""
    store, answers = LmdbFeatureStore(root / "store"), list[Fetched]()
    store.fetch(
        [Lookup(RowLayout.of(VIEW), [encode_key(VIEW, (user,)) for user in users])], 1, answers.extend
    )
    rows = answers[0].stored
    found: dict[str, list[Any]] = {"event_time": (rows.event_time_us // 1_000_000).tolist()}
    nulls = np.zeros((len(users), 5), bool) if rows.nulls is None else rows.nulls
    for index, (name, column) in enumerate(rows.columns.items()):
        pairs = zip(column.tolist(), nulls[:, index].tolist(), strict=True)
        found[name] = [None if null else value for value, null in pairs]
    store.close()
    return found


@pytest.mark.parametrize("write", [as_parquet, as_csv])
def test_what_fits_is_stored_and_what_does_not_is_told(tmp_path: Path, write: Callable[..., Path]) -> None:
    """Parquet and CSV give the same rows; every rejected row is in the side file with number and reason."""
    rows = [
        GOOD,
        {**GOOD, "user": None},
        {**GOOD, "user": "bob", "spend": None, "city": None, "place": None},
        {**GOOD, "user": "x" * 600},
        {**GOOD, "user": "eve", "event_time": "2030-01-01T00:00:00Z"},
        {**GOOD, "user": "zoe", "spend": 1e39},
        {**GOOD, "user": "ada", "event_time": "2026-01-30T12:00:00Z", "spend": 9.0},
        {**GOOD, "user": "kim", "visits": 2**31},
    ]
    report = run(job(tmp_path, write(tmp_path / "rows", rows)))
    assert (report.snapshot, report.entities, report.counts.taken, report.counts.rejected) == (1, 2, 3, 5)
    assert stored(tmp_path, "ada", "bob", "zoe") == {
        "event_time": [1_769_860_800, 1_769_860_800, 0],
        "spend": [1.5, None, 0.0],
        "visits": [3, 3, 0],
        "city": ["Lyon", None, ""],
        "loyal": [True, True, False],
        "place": [[45.75, 4.0], None, [0.0, 0.0]],
    }
    lines = list(csv.reader((tmp_path / "rejected.csv").read_text().splitlines()))
    assert lines[0] == ["row", "reason"]
    assert [(line[0], line[1].split(":")[0][:22]) for line in lines[1:]] == [
        ("2", "join key user is missi"),
        ("4", "join key 'user'"),
        ("5", "event time is in the f"),
        ("6", "spend is no float32, o"),
        ("8", "visits is no int32, or"),
    ]
    assert sum(report.counts.reasons.values()) == 5


def test_broken_lines_of_csv_are_rejected_and_numbers_stay_true(tmp_path: Path) -> None:
    """A line with too few cells is one rejected row; the rows behind it keep their numbers."""
    path = tmp_path / "rows.csv"
    path.write_text(
        "user,event_time,spend,visits,city,loyal,place\n"
        f'ada,{TIME},1,2,"New\nYork",true,"[1,2]"\n'
        "bob,1\n"
        f'eve,{TIME},x,2,Lyon,true,"[1,2]"\n'
        f'kim,{TIME},1,5.0,,0,"[1,2]"\n'
        f'zoe,{TIME},1,2,"",1,"[1]"\n'
    )
    report = run(job(tmp_path, path))
    assert stored(tmp_path, "ada", "kim")["city"] == ["New\nYork", None]
    assert stored(tmp_path, "kim")["visits"] == [5]
    assert (tmp_path / "rejected.csv").read_text().splitlines()[1:] == [
        "2,2 cells where the header has 7",
        '3,"spend is no float32, or beyond its range"',
        '5,"place is no list of 2 float64, or beyond its range"',
    ]
    assert report.counts.last_row == 5


def test_nan_is_null_and_counted(tmp_path: Path) -> None:
    """NaN never reaches the store; how many there were is told by feature."""
    table = pa.table(
        {
            "user": ["ada"],
            "event_time": pa.array([1_700_000_000_000_000], pa.timestamp("us")),
            "spend": [float("nan")],
            "visits": [1],
            "city": ["x"],
            "loyal": [True],
            "place": [[1.0, 2.0]],
        }
    )
    pq.write_table(table, tmp_path / "rows.parquet")
    report = run(job(tmp_path, tmp_path / "rows.parquet"))
    assert report.counts.nan_as_null == {"spend": 1}
    assert stored(tmp_path, "ada")["spend"] == [None]


@pytest.mark.parametrize(
    ("unit", "number"),
    [("s", 1_700_000_000), ("ms", 1_700_000_000_000), ("us", 1_700_000_000_000_000), ("ns", 17 * 10**17)],
)
@pytest.mark.parametrize("write", [as_parquet, as_csv])
def test_numbers_are_times_of_the_unit_that_is_said(
    tmp_path: Path, write: Callable[..., Path], unit: str, number: int
) -> None:
    """Without a unit nobody can tell seconds from milliseconds, so that such rows are rejected."""
    frame = pd.DataFrame([{**GOOD, "at": number}])
    path = tmp_path / ("rows.csv" if write is as_csv else "rows.parquet")
    frame.to_csv(path, index=False) if write is as_csv else frame.to_parquet(path)
    run(job(tmp_path, path, shape=FileShape("at", unit)))
    assert stored(tmp_path, "ada")["event_time"] == [1_700_000_000]
    with pytest.raises(InvalidRows, match="say its unit"):
        run(job(tmp_path, path, shape=FileShape("at")))


def test_a_file_without_the_columns_is_refused(tmp_path: Path) -> None:
    """Missing columns are named at once; those that are not used are told."""
    rows = [{name: value for name, value in GOOD.items() if name != "city"}]
    with pytest.raises(
        InvalidTable, match="no column 'city'; the view users needs the columns user, event_time"
    ):
        run(job(tmp_path, as_parquet(tmp_path / "rows", rows)))
    report = run(job(tmp_path, as_parquet(tmp_path / "rows", [{**GOOD, "more": 1}])))
    assert report.unused_columns == ("more",)


@pytest.mark.parametrize("name", ["rows.parquet", "rows.csv", "rows.txt"])
def test_another_file_is_refused(tmp_path: Path, name: str) -> None:
    """A file that is none of these formats is refused with a text that names it and no library's trace."""
    (tmp_path / name).write_bytes(b"\xff\xfe not a table")
    with pytest.raises(InvalidTable, match=name.replace(".", r"\.")):
        run(job(tmp_path, tmp_path / name))


def test_too_many_rejected_rows_load_nothing(tmp_path: Path) -> None:
    """Beyond the share that may be rejected the snapshot that is read stays, and the reason is told."""
    run(job(tmp_path, as_parquet(tmp_path / "good", [GOOD])))
    bad = as_parquet(tmp_path / "bad", [{**GOOD, "spend": 7.0}, {**GOOD, "user": ""}])
    with pytest.raises(InvalidRows, match="1 of 2 rows were rejected, most of them because: join key 'user'"):
        run(job(tmp_path, bad, max_rejected=0.4))
    assert stored(tmp_path, "ada")["spend"] == [1.5]
    run(job(tmp_path, bad, max_rejected=0.5))
    assert stored(tmp_path, "ada")["spend"] == [7.0]


def test_a_dry_run_changes_nothing(tmp_path: Path) -> None:
    """It counts what would be taken and rejected, and leaves no file."""
    path = as_parquet(tmp_path / "rows", [GOOD, {**GOOD, "user": ""}])
    report = check(job(tmp_path, path), lambda share: None, NOW_US)
    assert (report.snapshot, report.counts.taken, report.counts.rejected) == (0, 1, 1)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["rows.parquet"]


def test_onto_the_current_snapshot(tmp_path: Path) -> None:
    """`onto_current` keeps who is not in the file, and of a row in both the newer one."""
    run(job(tmp_path, as_parquet(tmp_path / "a", [GOOD, {**GOOD, "user": "bob"}])))
    older = {**GOOD, "user": "bob", "event_time": "2026-01-30T00:00:00Z", "spend": 9.0}
    newer = {**GOOD, "event_time": "2026-02-01T00:00:00Z", "spend": 9.0}
    report = run(job(tmp_path, as_parquet(tmp_path / "b", [older, newer]), onto_current=True))
    assert (report.snapshot, report.entities) == (2, 2)
    assert stored(tmp_path, "ada", "bob")["spend"] == [9.0, 1.5]


class Killed(BaseException):
    """Stands for the end of the process."""


@pytest.mark.parametrize("stop_at", range(7))
def test_a_load_that_was_killed_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop_at: int
) -> None:
    """Wherever a load stops, nothing is to be seen of it until the next one of the file has ended it."""
    monkeypatch.setattr("driftgate.features.filling.tables.CHUNK_ROWS", 100)
    users = [f"user-{number * 7919 % 1000:04}" for number in range(400)]
    rows = [
        {**GOOD, "user": user if number % 50 else "", "spend": number} for number, user in enumerate(users)
    ]
    path = as_parquet(tmp_path / "rows", rows)
    steps = iter(range(100))

    def stop(share: float) -> None:
        if next(steps) == stop_at:
            raise Killed

    try:
        load(job(tmp_path, path), stop, NOW_US)
    except Killed:
        assert current_snapshot(ViewFiles(tmp_path / "store", "users")) == 0
        assert not parts_of(history_directory(tmp_path / "store", "users"))
    report = run(job(tmp_path, path))
    files = ViewFiles(tmp_path / "store", "users")
    assert (report.entities, report.counts.taken, report.counts.rejected) == (392, 392, 8)
    assert stored(tmp_path, *users[1:4])["spend"] == [1.0, 2.0, 3.0]
    assert len((tmp_path / "rejected.csv").read_text().splitlines()) == 9
    latest = [
        part
        for part in parts_of(history_directory(files.root, "users"))
        if part.name[:12] == f"{report.snapshot:012}"
    ]
    assert len(latest) == 4
    assert not (files.directory / ".loading").exists()


def test_a_changed_file_is_loaded_anew(tmp_path: Path) -> None:
    """What another load left is not mixed into this one."""
    path = as_parquet(tmp_path / "rows", [GOOD])

    def stop(share: float) -> None:
        raise Killed

    with pytest.raises(Killed):
        load(job(tmp_path, path), stop, NOW_US)
    as_parquet(tmp_path / "rows", [{**GOOD, "user": "bob"}])
    report = run(job(tmp_path, path))
    assert (report.entities, report.resumed_at) == (1, 0)
    assert stored(tmp_path, "ada", "bob")["event_time"] == [0, 1_769_860_800]


def test_the_history_is_of_what_was_served(tmp_path: Path) -> None:
    """Training has no rows of a load that failed at its end, nor of snapshots that were gone back from."""
    files = ViewFiles(tmp_path / "store", "users")
    history = history_directory(files.root, "users")

    def counting() -> list[int]:
        return sorted({int(part.name[:12]) for part in parts_of(history)})

    run(job(tmp_path, as_parquet(tmp_path / "rows", [GOOD])))
    in_the_way = files.current.with_name(".CURRENT.unfinished")
    in_the_way.mkdir()
    again = as_parquet(tmp_path / "rows", [{**GOOD, "spend": 2.0}])
    with pytest.raises(StoreFull):
        run(job(tmp_path, again))
    assert (counting(), stored(tmp_path, "ada")["spend"]) == ([1], [1.5])
    in_the_way.rmdir()
    number = run(job(tmp_path, again)).snapshot
    assert counting() == [1, number]
    rollback(files)
    assert counting() == [1]
    last = run(job(tmp_path, again)).snapshot
    assert counting() == [1, last]
    rollback(files, number)
    assert counting() == [1, number]
    rollback(files, last)
    assert counting() == [1, last]
