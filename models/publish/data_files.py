"""Read example and reference rows from the files that people keep them in."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from driftgate.models.errors import InvalidInput
from driftgate.models.publish.parquet_rows import read_parquet_rows
from driftgate.models.run.examples import load_examples

READERS: Mapping[str, Callable[[Path], Any]] = {
    ".csv": pd.read_csv,
    ".json": pd.read_json,
    ".npz": lambda path: _arrays(path),
    ".parquet": read_parquet_rows,
}


def read_rows(path: Path) -> Any:
    """Return a data frame, or (.npz) arrays by input name; raise InvalidInput for a file that holds neither.

    JSON is a list of rows `[{"age": 41}, …]`. An `examples.npz` that was published can be given again.
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise InvalidInput(f"{path}: rows are read from {', '.join(sorted(READERS))} files")
    try:
        return reader(path)
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror or error}") from error
    except (ValueError, TypeError, KeyError) as error:
        raise InvalidInput(f"{path} is no {path.suffix} file of rows: {error}") from error


def _arrays(path: Path) -> dict[str, np.ndarray[Any, np.dtype[Any]]]:
    with np.load(path, allow_pickle=False) as archive:
        if any(name.startswith("input:") for name in archive.files):
            return load_examples(path)[0]
        return {name: archive[name] for name in archive.files}
