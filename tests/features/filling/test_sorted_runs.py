"""Runs on disk give back every row, in ranges of keys that rise, whatever the rows are."""

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from driftgate.features.errors import StoreDamaged
from driftgate.features.filling.sorted_runs import Run, merged, partitions, write_run

ROWS = st.dictionaries(st.binary(min_size=1, max_size=4), st.binary(max_size=4), max_size=30)


@settings(max_examples=50, deadline=None)
@given(contents=st.lists(ROWS.filter(bool), max_size=4), size=st.integers(1, 20))
def test_every_row_comes_back_in_its_range(
    tmp_path_factory: pytest.TempPathFactory, contents: list[dict[bytes, bytes]], size: int
) -> None:
    """All rows of all runs are in one partition each, those of earlier runs first, and partitions rise."""
    directory = tmp_path_factory.mktemp("runs")
    for number, rows in enumerate(contents):
        write_run(directory / f"{number}.run", sorted(rows.items()))
    runs = [Run(directory / f"{number}.run") for number in range(len(contents))]
    found = [list(merged(runs, partition)) for partition in partitions(runs, size)]
    for run in runs:
        run.close()
    expected = [(key, number, row) for number, rows in enumerate(contents) for key, row in rows.items()]
    of_key: dict[bytes, list[bytes]] = {}
    for rows_of_partition in found:
        for key, row in rows_of_partition:
            of_key.setdefault(key, []).append(row)
    assert of_key == {
        key: [row for other, _, row in sorted(expected, key=lambda it: it[1]) if other == key]
        for key, _, _ in expected
    }
    ranges = [sorted(key for key, _ in rows_of_partition) for rows_of_partition in found]
    filled = [keys for keys in ranges if keys]
    assert all(before[-1] < after[0] for before, after in pairwise(filled))


def test_another_file_is_no_run(tmp_path: Path) -> None:
    """A file that begins otherwise is refused."""
    (tmp_path / "x.run").write_bytes(b"x" * 64)
    with pytest.raises(StoreDamaged, match="no run"):
        Run(tmp_path / "x.run")
