"""Rows of a Parquet file as a data frame, without ever having a large file in memory.

The one file of this room that imports pyarrow.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

MOST_ROWS = 1_000_000
"""Of a file with more, a fair sample of so many: the same ones every time."""
CHUNK_ROWS = 65_536


def read_parquet_rows(path: Path, most_rows: int = MOST_ROWS) -> pd.DataFrame:
    """Return the rows of a file, or a sample of them in their order; raise OSError or ValueError.

    A chunk of the file and the rows that are kept are in memory at a time.
    """
    with pq.ParquetFile(path) as file:
        rows = file.metadata.num_rows
        chosen = np.arange(rows)
        if rows > most_rows:
            chosen = np.sort(np.random.default_rng(0).choice(rows, most_rows, replace=False))
        parts, first = [], 0
        for batch in file.iter_batches(CHUNK_ROWS):
            start, stop = np.searchsorted(chosen, (first, first + len(batch)))
            parts.append(batch.take(pa.array(chosen[start:stop] - first)))
            first += len(batch)
        frame: pd.DataFrame = pa.Table.from_batches(parts, file.schema_arrow).to_pandas()
        return frame if rows <= most_rows else frame.reset_index(drop=True)
