"""A published version, and the same in memory."""

from collections.abc import Callable
from pathlib import Path

import pytest

from driftgate.models.publish.onnx_file import Published
from driftgate.models.run.loaded import LoadedVersion

Publish = Callable[..., Published]


@pytest.fixture
def directory(publish_version: Publish) -> Path:
    """A version that answers twice the sum of its four inputs."""
    return publish_version("m", scale=2.0).directory


@pytest.fixture
def loaded(directory: Path) -> LoadedVersion:
    """The same, loaded."""
    return LoadedVersion.load(directory, threads=1)
