"""What a store holds, as a file."""

import contextlib
from pathlib import Path

import pyarrow.parquet as pq

from driftgate.features.embedded.delta_writer import DeltaWriter
from driftgate.features.embedded.snapshot_writer import SnapshotWriter
from driftgate.features.filling.export import export_view

from harness.feature_rows import SECOND_US, float_rows, float_view, now_us, packed

VIEW = float_view(features=1)


def test_an_export_has_what_is_served(tmp_path: Path) -> None:
    """Of snapshot and push the newer row; a push that is damaged, or of another schema, hides nothing."""
    then_us = now_us() - SECOND_US
    with SnapshotWriter(tmp_path, VIEW) as writer:
        writer.append(float_rows(VIEW, ["a", "b", "c", "d"], then_us, 1.0))
        writer.finish("test")
    other = float_view(features=2)
    pushed = [
        *packed(VIEW, float_rows(VIEW, ["b", "e"], then_us + 1, 2.0)),
        *((key, row[:-1] + b"\x77") for key, row in packed(VIEW, float_rows(VIEW, ["c"], then_us + 1, 2.0))),
        *packed(other, float_rows(other, ["d", "f"], then_us + 1, 2.0)),
    ]
    with contextlib.closing(DeltaWriter(tmp_path, VIEW.name)) as delta:
        delta.push(pushed, now_us())
    assert export_view(tmp_path, VIEW, tmp_path / "out.parquet") == 5
    table = pq.read_table(tmp_path / "out.parquet")
    assert table["card"].to_pylist() == ["a", "b", "c", "d", "e"]
    assert table["f0"].to_pylist() == [1.0, 2.0, 1.0, 1.0, 2.0]
