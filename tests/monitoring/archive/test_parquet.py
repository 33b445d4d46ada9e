"""The archive is plain Parquet: columns people know, each record once, whatever happens on the way."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from driftgate.monitoring.archive.files import (
    DAY_US,
    MERGE_COUNT,
    SETTLED_US,
    Ages,
    ArchiveFile,
    day_of,
    expired,
    file_path,
    finished,
    hidden,
    next_merge,
    next_slimming,
    start_of_day_us,
)
from driftgate.monitoring.archive.parquet import export_tables, merge_files, table_of, write_table
from driftgate.monitoring.log.record import RecordedVersion, TensorColumns, TurnRecord

from harness.records import SlotLog, blocks_of, failure, prediction_id, reader, turn, version


def records(tmp_path: Path, *turns: TurnRecord) -> Any:
    log = SlotLog(tmp_path)
    log.write(*turns)
    return table_of(blocks_of(reader(tmp_path).read()))


def export_table(table: Any, path: Path) -> None:
    assert export_tables([table], [table.schema], path) == len(table)


def test_pandas_reads_it_as_it_is(tmp_path: Path) -> None:
    """One row per row predicted, columns by their names, times as times, nothing to decode."""
    of = version()
    first, second = turn(of, [1, 2], client_id="order-7"), turn(of, [3], rows=2, propensity=0.1)
    first.requests[0].routing_key = b"user"
    path = tmp_path / "a.parquet"
    export_table(records(tmp_path, first, second), path)
    frame = pd.read_parquet(path)
    assert frame["prediction_id"].tolist() == [prediction_id(number) for number in (1, 2, 3, 3)]
    assert frame["row"].tolist() == [0, 0, 0, 1]
    assert frame["age"].tolist() == [1, 2, 3, 3]
    assert frame["city"].tolist() == ["city 1", "city 2", "city 3", "city 3"]
    assert frame["label"].tolist() == [1, 0, 1, 1]
    assert frame["p.yes"].tolist() == [1, 0, 1, 1]
    assert frame["client_id"].tolist()[:2] == ["order-7", "order-7"]
    assert frame["client_id"].isna().tolist() == [False, False, True, True]
    assert frame["propensity"].fillna(-1).tolist() == [-1, -1, 0.1, 0.1]
    assert frame["routing_key"].isna().tolist() == [False, True, True, True]
    assert set(frame["model"]) == {"fraud"}
    assert set(frame["version"]) == {3}
    assert str(frame["time"].dtype) == "datetime64[us, UTC]"
    assert frame["time"].is_monotonic_increasing


def test_duckdb_reads_it_as_it_is(tmp_path: Path) -> None:
    """DuckDB reads the files by their pattern, unfinished ones excluded."""
    duckdb = pytest.importorskip("duckdb")
    table = records(tmp_path, turn(version(), range(5)))
    path = tmp_path / "archive" / "fraud" / "day" / "a.parquet"
    path.parent.mkdir(parents=True)
    export_table(table, path)
    write_table(table, path.with_name("b.parquet"))
    query = f"SELECT count(*), avg(age), max(city) FROM '{tmp_path}/archive/fraud/*/*.parquet'"  # noqa: S608
    assert duckdb.sql(query).fetchall() == [(5, 2.0, "city 4")]


def test_records_with_and_without_payload_share_a_table(tmp_path: Path) -> None:
    """Failures have empty payload columns, and no row number if they had no rows."""
    of = version()
    frame = records(tmp_path, turn(of, [1]), failure(of, 2, code=415)).to_pandas()
    frame = frame.sort_values("prediction_id")
    assert frame["code"].tolist() == [200, 415]
    assert frame["row"].fillna(-1).tolist() == [0, -1]
    assert frame["age"].fillna(-1).tolist() == [1, -1]


def test_names_that_are_taken_get_a_prefix(tmp_path: Path) -> None:
    """A model's own `time`, `model` or twice-used names are kept beside the record's own."""
    of = RecordedVersion(
        "odd", 1, (TensorColumns("x", ("time", "model", "y")),), (TensorColumns("y"), TensorColumns("boot"))
    )
    one = turn(of, [1])
    one.inputs = {"x": np.array([[1, 2, 3]], "<f4")}
    one.outputs = {"y": np.array([4.0]), "boot": np.array([5])}
    row = records(tmp_path, one).to_pylist()[0]
    assert [row[name] for name in ("input.time", "input.model", "y", "output.y", "output.boot")] == [
        1,
        2,
        3,
        4,
        5,
    ]
    assert row["model"] == "odd"


def test_every_kind_of_tensor_has_a_column(tmp_path: Path) -> None:
    """Wide tensors are lists, single ones plain columns, half precision single, texts of any width texts."""
    of = RecordedVersion("kinds", 1, (TensorColumns("words", ("first", "second")),))
    one = turn(of, [1, 2])
    one.inputs = {
        "wide": np.arange(8, dtype="<f4").reshape(2, 2, 2),
        "half": np.array([0.5, 1.5], "<f2"),
        "flag": np.array([[True], [False]]),
        "big": np.array([2**63, 1], "<u8"),
        "words": np.array([["a", "b"], ["c", "d"]], object),
        "text": np.array([["e", "f"], ["g", "h"]], object),
    }
    rows = records(tmp_path, one).to_pylist()
    assert rows[1]["wide"] == [4, 5, 6, 7]
    assert (rows[0]["half"], rows[0]["flag"], rows[0]["big"]) == (0.5, True, 2**63)
    assert [rows[1][name] for name in ("first", "second")] == ["c", "d"]
    assert rows[0]["text"] == ["e", "f"]


def test_merged_files_hold_the_same_records(tmp_path: Path) -> None:
    """Merging keeps every record and every column, of files whose columns differ too."""
    of = version()
    paths = []
    for number, one in enumerate([turn(of, [1, 2]), failure(of, 3), turn(of, [4])]):
        path = tmp_path / f"{number}.parquet"
        export_table(records(tmp_path / str(number), one), path)
        paths.append(path)
    merged = tmp_path / "merged.parquet"
    assert merge_files(paths, merged) == hidden(merged).stat().st_size
    frame = pd.read_parquet(hidden(merged).rename(merged))
    assert frame["prediction_id"].tolist() == [prediction_id(number) for number in (1, 2, 3, 4)]
    assert frame["age"].fillna(-1).tolist() == [1, 2, -1, 4]


def test_slim_files_keep_ids_and_scores(tmp_path: Path) -> None:
    """What is kept for late labels: ids, arm, version, predictions and probabilities; no input."""
    path, slim = tmp_path / "a.parquet", tmp_path / "slim.parquet"
    export_table(records(tmp_path, turn(version(), [1, 2])), path)
    merge_files([path], slim, slim=True)
    names = pq.read_schema(hidden(slim)).names
    assert {"prediction_id", "row", "time", "arm", "version", "label", "p.no", "p.yes"} <= set(names)
    assert not {"age", "income", "city"} & set(names)


def file(day: str = "2026-01-05", level: int = 0, size: int = 1000, **fields: Any) -> ArchiveFile:
    start = start_of_day_us(day)
    path = f"{day}-{level}-{fields}"
    return replace(ArchiveFile(path, "m", 1, day, level, 1, size, start, start + 1), **fields)


NOON = start_of_day_us("2026-01-05") + DAY_US // 2
SETTLED = start_of_day_us("2026-01-06") + SETTLED_US


@pytest.mark.parametrize(
    ("files", "now_us", "merged"),
    [
        ([], NOON, 0),
        ([file()] * (MERGE_COUNT - 1), NOON, 0),
        ([file()] * MERGE_COUNT, NOON, MERGE_COUNT),
        ([file()] * 8 + [file(level=1)] * 8, NOON, 0),
        ([file(), file()], SETTLED - 1, 0),
        ([file(), file(level=1)], SETTLED, 2),
        ([file()], SETTLED, 0),
        ([file(), file(day="2026-01-04")], SETTLED, 0),
        ([file(slim=True)] * 2, SETTLED, 0),
        ([file(size=400 * 2**20)] * 3, SETTLED, 2),
        ([file(size=600 * 2**20)] * 2, SETTLED, 0),
    ],
)
def test_files_are_merged_by_level_and_for_good_when_the_day_is_over(
    files: list[ArchiveFile], now_us: int, merged: int
) -> None:
    """Sixteen of a level become one; after its day all become one; large ones are left."""
    assert len(next_merge(files, now_us)) == merged


def test_files_are_slimmed_and_deleted_by_age() -> None:
    """Inputs go after 30 days, the rest after 120, counted from the last record."""
    one = file()
    ages = Ages(30, 120)
    assert next_slimming([one], one.last_us + 30 * DAY_US, ages) is None
    assert next_slimming([one], one.last_us + 30 * DAY_US + 1, ages) == one
    assert next_slimming([file(slim=True)], one.last_us + 31 * DAY_US, ages) is None
    assert expired([one], one.last_us + 120 * DAY_US, ages) == []
    assert expired([one], one.last_us + 120 * DAY_US + 1, ages) == [one]


def test_paths_say_what_is_inside() -> None:
    """Model, day, version and time are in the path; requests of no model have a place of their own."""
    at = start_of_day_us("2026-01-05") + 3_600_000_000
    assert file_path("fraud", 3, at, "abc") == "fraud/2026-01-05/v3-010000-abc.parquet"
    assert file_path("", 0, at, "abc").startswith("_unrouted/")
    assert day_of(at) == "2026-01-05"
    path = Path("x") / "v3.parquet"
    assert finished(hidden(path)) == path
