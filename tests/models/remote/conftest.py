"""The registry of a gateway that versions are sent to."""

from pathlib import Path

import pytest


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """The registry of the gateway that uploads go to."""
    root = tmp_path / "target"
    root.mkdir()
    return root
