"""A loader that is killed leaves what is read as it was, and the same command goes on where it stopped."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from driftgate.features.embedded.snapshots import ViewFiles, current_snapshot, snapshot_numbers
from driftgate.features.views.declaration import write_view
from driftgate.features.views.view import Feature, FeatureView, JoinKey

from harness.gateway import until

VIEW = FeatureView("users", (JoinKey("user", "int64"),), (Feature("x", "float32"),))
ROWS = 500_000


def begin(root: Path) -> "subprocess.Popen[bytes]":
    """Start loading in a process of its own."""
    words = ["features", "load", "users", str(root / "rows.parquet"), "--json"]
    places = ["--state", str(root / "state"), "--registry", str(root / "registry")]
    return subprocess.Popen(
        [sys.executable, "-m", "driftgate.gateway.cli.main", *words, *places],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )


def test_a_killed_loader_goes_on(tmp_path: Path) -> None:
    """After SIGKILL there is no snapshot; loading again does not begin at the first row, and loads all."""
    (tmp_path / "registry").mkdir()
    write_view(tmp_path / "registry", VIEW)
    users = np.random.default_rng(1).permutation(ROWS)
    pd.DataFrame(
        {"user": users, "event_time": pd.Timestamp("2026-01-01", tz="UTC"), "x": users.astype(np.float32)}
    ).to_parquet(tmp_path / "rows.parquet")
    files = ViewFiles(tmp_path / "state" / "features", "users")
    loader = begin(tmp_path)
    until((files.directory / ".loading" / "progress.json").exists, 30, "a chunk is done")
    loader.send_signal(signal.SIGKILL)
    loader.communicate(timeout=60)
    assert current_snapshot(files) == 0
    assert snapshot_numbers(files) == []
    again = begin(tmp_path)
    out, _ = again.communicate(timeout=60)
    report = json.loads(out)
    assert report["resumed_at"] > 0
    assert (report["entities"], report["counts"]["taken"], report["snapshot"]) == (ROWS, ROWS, 1)
