"""What NannyML and Evidently need for the rows of one frame: run by `fold_bench --others PYTHON`.

Runs in an environment of its own that has them, and prints nanoseconds of CPU time per value by tool as JSON.
Both are asked for what they do by default for drift of single columns; fitting to the reference is not in it.
"""

import contextlib
import io
import json
import sys
import time
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np

CHUNK_ROWS = 1000
"""Of NannyML's chunks: windows as large as ours are at 16 requests a second."""
REPEATS = 3


def nannyml(reference: Any, rows: Any) -> Callable[[], object]:
    """Return what computes univariate drift with NannyML."""
    tool = import_module("nannyml")
    names = list(reference.columns)
    calculator = tool.UnivariateDriftCalculator(column_names=names, chunk_size=CHUNK_ROWS)
    calculator.fit(reference)
    return lambda: calculator.calculate(rows)


def evidently(reference: Any, rows: Any) -> Callable[[], object]:
    """Return what computes the drift of all columns with Evidently."""
    tool, presets = import_module("evidently"), import_module("evidently.presets")
    report = tool.Report([presets.DataDriftPreset()])

    def run() -> object:
        return report.run(reference_data=reference, current_data=rows).dict()

    return run


def ns_per_value(call: Callable[[], object], values: int) -> float:
    """Return the least CPU time of some runs, per value."""
    call()
    times = []
    for _ in range(REPEATS):
        began = time.process_time()
        call()
        times.append(time.process_time() - began)
    return min(times) / values * 1e9


def main(rows: int, features: int, reference_rows: int) -> None:
    """Measure and print; a tool that is not there is left out."""
    frame = import_module("pandas").DataFrame
    rng = np.random.default_rng(7)
    names = [f"feature_{number}" for number in range(features)]
    tables = [
        frame(rng.normal(size=(count, features)).astype(np.float32), columns=names)
        for count in (reference_rows, rows)
    ]
    found = {}
    for name, tool in (("NannyML", nannyml), ("Evidently", evidently)):
        with contextlib.suppress(ModuleNotFoundError), contextlib.redirect_stdout(io.StringIO()):
            found[name] = ns_per_value(tool(*tables), rows * features)
    print(json.dumps(found))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:4]))
