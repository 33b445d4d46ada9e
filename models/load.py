"""`driftgate.load`: a version in this process, by the code that serves it; for notebooks and pytest."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from driftgate.models.columns import feeds_from_rows
from driftgate.models.errors import LoadError
from driftgate.models.loaded import LoadedVersion
from driftgate.models.manifest import MANIFEST_FILE, Manifest
from driftgate.models.publish_onnx import publish_file
from driftgate.models.runtime import Array

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
    found = Path(path)
    if found.is_file() and (found.parent / MANIFEST_FILE).is_file():
        found = found.parent
    if found.is_file():
        return InProcessModel(_load_bare(found))
    if not (found / MANIFEST_FILE).is_file():
        raise LoadError(
            f"{found} is no version: give a directory that holds {MANIFEST_FILE}, or an ONNX file"
        )
    return InProcessModel(LoadedVersion.load(found, threads=1))


def _load_bare(model: Path) -> LoadedVersion:
    """Publish the file into a directory that is gone again when this returns: a session needs it no more."""
    with tempfile.TemporaryDirectory(prefix="driftgate-") as registry:
        published = publish_file(model, name="model", registry=Path(registry))
        return LoadedVersion.load(published.directory, threads=1)


def _as_rows(rows: Rows) -> list[dict[str, Any]]:
    if not isinstance(rows, pd.DataFrame):
        return [dict(row) for row in rows]
    present = rows.astype(object).where(rows.notna(), None)
    return [{str(name): value for name, value in row.items()} for row in present.to_dict("records")]
