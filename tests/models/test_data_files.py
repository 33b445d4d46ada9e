"""Rows are read from the files that people keep them in."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from driftgate.models.data_files import read_rows
from driftgate.models.errors import InvalidInput
from driftgate.models.examples import save_examples

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
