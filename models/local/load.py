"""`driftgate.load`: a version in this process, by the code that serves it; for notebooks and pytest."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from driftgate.models.local.opening import open_on_trial
from driftgate.models.run.loaded import LoadedVersion
from driftgate.models.run.runtime import Array
from driftgate.models.schema.columns import feeds_from_rows
from driftgate.models.schema.manifest import Manifest

Rows = pd.DataFrame | Sequence[Mapping[str, Any]]


class InProcessModel:
    """A loaded version that predicts in this process, through the same checks and encodings as the server."""

    def __init__(self, loaded: LoadedVersion) -> None:
        self._loaded = loaded

    @property
    def manifest(self) -> Manifest:
        """What is known about the version."""
        return self._loaded.manifest

    def predict(self, rows: Rows) -> pd.DataFrame:
        """Return the outputs of rows of named columns, one row each, under the index of a data frame.

        An output of several values per row gets a column per value: `probabilities_yes` by class where the
        manifest knows the classes, else `output_0`. None, NaN and NA are missing values. Raises InvalidInput
        that names row and column, and RunError where the graph refuses the values.
        """
        named = _as_rows(rows)
        outputs = self._loaded.run(feeds_from_rows(self.manifest, named))
        columns: dict[str, Array] = {}
        for spec, array in zip(self.manifest.signature.outputs, outputs, strict=True):
            columns |= self._named(spec.name, np.asarray(array))
        return pd.DataFrame(columns, index=rows.index if isinstance(rows, pd.DataFrame) else None)

    def _named(self, output: str, array: Array) -> dict[str, Array]:
        flat = array.reshape(len(array), -1)
        if flat.shape[1] == 1:
            return {output: flat[:, 0]}
        classes = self.manifest.task.classes or ()
        labels = classes if len(classes) == flat.shape[1] else range(flat.shape[1])
        return {f"{output}_{label}": flat[:, place] for place, label in enumerate(labels)}


def load(path: str | Path) -> InProcessModel:
    """Load a version directory (`registry/fraud/3`), or an ONNX file that was never published.

    Files are verified, golden outputs compared and the model warmed, exactly as a worker does it. Raises
    LoadError, UnsafeFile or InvalidManifest; for a bare file also ConversionError.
    """
    return InProcessModel(LoadedVersion(open_on_trial(Path(path))))


def _as_rows(rows: Rows) -> list[dict[str, Any]]:
    if not isinstance(rows, pd.DataFrame):
        return [dict(row) for row in rows]
    present = rows.astype(object).where(rows.notna(), None)
    return [{str(name): value for name, value in row.items()} for row in present.to_dict("records")]
