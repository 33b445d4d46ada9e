"""Rows are read from the files that people keep them in."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from driftgate.models.errors import InvalidInput
from driftgate.models.publish.data_files import read_rows
from driftgate.models.publish.parquet_rows import read_parquet_rows
from driftgate.models.run.examples import save_examples

FRAME = pd.DataFrame({"a": [1, 2], "s": ["x", None]})


def test_tables_become_data_frames(tmp_path: Path) -> None:
    """CSV, JSON and Parquet give the same rows."""
    FRAME.to_csv(tmp_path / "r.csv", index=False)
    FRAME.to_json(tmp_path / "r.json", orient="records")
    FRAME.to_parquet(tmp_path / "r.parquet")
    for name in ("r.csv", "r.json", "r.parquet"):
        found = read_rows(tmp_path / name)
        assert found["a"].tolist() == [1, 2]
        assert found["s"].isna().tolist() == [False, True]


def test_arrays_come_by_input_name(tmp_path: Path) -> None:
    """An .npz holds arrays by input name; the golden rows of a published version can be given again."""
    np.savez(tmp_path / "r.npz", x=np.ones(3))
    save_examples(tmp_path / "examples.npz", {"x": np.ones(3)}, {"y": np.zeros(3)})
    for name in ("r.npz", "examples.npz"):
        assert {key: array.tolist() for key, array in read_rows(tmp_path / name).items()} == {"x": [1.0] * 3}


@pytest.mark.parametrize("name", ["absent.csv", "bad.json", "bad.parquet", "bad.npz", "rows.xls"])
def test_bad_files_are_named(tmp_path: Path, name: str) -> None:
    """A file that is absent, of another kind or broken is refused by its name."""
    if name.startswith("bad"):
        (tmp_path / name).write_bytes(b"{")
    with pytest.raises(InvalidInput, match=name):
        read_rows(tmp_path / name)


@pytest.mark.parametrize("index", [False, True])
def test_parquet_is_read_in_chunks_as_pandas_reads_it_whole(tmp_path: Path, index: bool) -> None:
    """Types, categories and the index survive, over row groups of any size."""
    numbers = np.arange(150_000)
    frame = pd.DataFrame(
        {
            "n": numbers,
            "f": np.where(numbers % 7, numbers / 3, np.nan),
            "c": pd.Categorical(np.where(numbers < 140_000, "early", "late")),
            "t": pd.Timestamp("2026-01-01") + pd.to_timedelta(numbers, "s"),
        }
    )
    frame = frame.set_index(numbers[::-1]) if index else frame
    frame.to_parquet(tmp_path / "r.parquet", row_group_size=40_000)
    pd.testing.assert_frame_equal(
        read_parquet_rows(tmp_path / "r.parquet"), pd.read_parquet(tmp_path / "r.parquet")
    )


def test_of_a_large_file_a_fair_sample_is_read(tmp_path: Path) -> None:
    """Each row is there at most once, in order, from all over the file; the same ones every time."""
    pd.DataFrame({"n": np.arange(100_000)}).to_parquet(tmp_path / "r.parquet", row_group_size=9000)
    found = read_parquet_rows(tmp_path / "r.parquet", 1000)["n"].to_numpy()
    assert len(found) == 1000
    assert (np.diff(found) > 0).all()
    assert abs(found.mean() - 50_000) < 3000
    assert found.tolist() == read_parquet_rows(tmp_path / "r.parquet", 1000)["n"].tolist()
