"""Public data in which drift is known to begin in the middle: the data sets inside of nannyml's wheel.

Only its files are read; the package is installed without its dependencies (`make` does) and never imported.
"""

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from driftgate.monitoring.log.columns import texts_of_list
from driftgate.monitoring.reference.profile import ReferenceProfile, Role
from driftgate.monitoring.reference.sample import ReferenceSample, row_priorities
from driftgate.monitoring.windows.cell_coder import CellCoder
from driftgate.monitoring.windows.observed import Observed
from driftgate.monitoring.windows.pane import Pane
from driftgate.monitoring.windows.pane_fold import PaneFold

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class KnownDrift:
    """A reference profile, and counts of windows of rows: int[windows, cells], int[windows, features]."""

    profile: ReferenceProfile
    counts: Array
    rows: Array


def known_drift(name: str, left_out: set[str], window_rows: int) -> KnownDrift:
    """Read a data set; the test is skipped where the wheel is not installed."""
    reference, analysis = (_frame(f"{name}_{part}.csv", left_out) for part in ("reference", "analysis"))
    sample = ReferenceSample()
    sample.update(_columns(reference), row_priorities(0, len(reference)))
    profile = sample.get("training")
    coded = CellCoder(profile).code(_columns(analysis), len(analysis))
    fold = PaneFold(profile)
    panes = []
    for start in range(0, len(analysis) - window_rows + 1, window_rows):
        pane = Pane.empty(fold.shape)
        fold.update(pane, coded, slice(start, start + window_rows))
        panes.append(pane.counts)
    counts = np.stack(panes)
    rows = np.add.reduceat(counts, profile.offsets()[:-1], axis=1)
    return KnownDrift(profile, counts, rows)


def _frame(file: str, left_out: set[str]) -> pd.DataFrame:
    try:
        paths = [Path(str(path.locate())) for path in files("nannyml") or [] if path.name == file]
    except PackageNotFoundError:
        paths = []
    if not paths or not paths[0].exists():
        pytest.skip("nannyml's data are not installed: pip install --no-deps nannyml")
    return pd.read_csv(paths[0]).drop(columns=list(left_out), errors="ignore")


def _columns(frame: pd.DataFrame) -> list[Observed]:
    found = []
    for name in frame.columns:
        values = frame[name].to_numpy()
        numbers = values.dtype.kind in "fiub"
        role: Role = "score" if name.startswith("y_pred") else "input"
        texts = texts_of_list(frame[name].astype(str).tolist())
        found.append(Observed(name, role, values if numbers else texts))
    return found
