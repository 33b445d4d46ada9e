"""Real rows of a version, as a person would send them, from the golden examples published with it."""

from pathlib import Path
from typing import Any

from driftgate.models.columns import rows_from_feeds
from driftgate.models.errors import ModelError
from driftgate.models.examples import first_rows, load_examples
from driftgate.models.manifest import EXAMPLES_FILE, Manifest


def example_rows(directory: Path, manifest: Manifest, count: int = 1) -> list[dict[str, Any]]:
    """Return up to `count` rows from the version in `directory`; none where it has no readable examples."""
    try:
        inputs, _ = load_examples(directory / EXAMPLES_FILE)
        return rows_from_feeds(manifest, first_rows(inputs, count))
    except (ModelError, OSError):
        return []
