"""Rows that a version takes, as a person would send them: golden examples, or made up where it has none."""

from pathlib import Path
from typing import Any

from driftgate.models.columns import rows_from_feeds
from driftgate.models.elements import Array
from driftgate.models.errors import ModelError
from driftgate.models.examples import load_examples
from driftgate.models.manifest import EXAMPLES_FILE, Manifest
from driftgate.models.synthetic import synthetic_rows


def example_rows(directory: Path, manifest: Manifest, count: int = 1) -> list[dict[str, Any]]:
    """Return up to `count` rows for the version in `directory`; made up where it has no readable examples."""
    return rows_from_feeds(manifest, _inputs(directory, manifest))[:count]


def _inputs(directory: Path, manifest: Manifest) -> dict[str, Array]:
    try:
        inputs, _ = load_examples(directory / EXAMPLES_FILE)
    except (ModelError, OSError):
        return synthetic_rows(manifest.signature)
    return inputs
