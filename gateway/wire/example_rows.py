"""Rows that a version takes, as a person would send them: golden examples, or made up where it has none."""

from pathlib import Path
from typing import Any

import numpy as np

from driftgate.models.errors import ModelError
from driftgate.models.run.examples import load_examples
from driftgate.models.run.synthetic import synthetic_rows
from driftgate.models.schema.binding import BoundKey
from driftgate.models.schema.client_manifest import own_keys
from driftgate.models.schema.columns import rows_from_feeds
from driftgate.models.schema.elements import Array
from driftgate.models.schema.manifest import EXAMPLES_FILE, Manifest


def example_rows(directory: Path, manifest: Manifest, count: int = 1) -> list[dict[str, Any]]:
    """Return up to `count` rows for the version in `directory`; made up where it has no readable examples.

    Of a version with features they hold what clients send: no stored columns, and keys as the binding shows.
    """
    inputs = _inputs(directory, manifest)
    first = {
        spec.name: _as_written(inputs[spec.name][:count] if spec.batched else inputs[spec.name])
        for spec in manifest.signature.inputs
    }
    rows = rows_from_feeds(manifest, first)
    binding = manifest.features
    if binding is None:
        return rows
    keys = {key.name: _example_key(key) for key in own_keys(manifest, binding)}
    filled = binding.filled
    return [{name: value for name, value in row.items() if name not in filled} | keys for row in rows]


def _example_key(key: BoundKey) -> str | int:
    if key.example is not None:
        return key.example
    return 1 if key.type == "int64" else f"{key.name}-1"


def _as_written(values: Array) -> Array:
    """Return single precision as the shortest numbers that mean it: 5.1, not 5.099999904632568."""
    if values.dtype != np.float32:
        return values
    return np.array([float(str(value)) for value in values.ravel()]).reshape(values.shape)


def _inputs(directory: Path, manifest: Manifest) -> dict[str, Array]:
    try:
        inputs, _ = load_examples(directory / EXAMPLES_FILE)
    except (ModelError, OSError):
        return synthetic_rows(manifest.signature)
    return inputs
