"""A registry over the directory that tests publish into."""

from collections.abc import Callable
from pathlib import Path

import pytest

from driftgate.models.registry.directory import DirectoryRegistry
from driftgate.models.registry.snapshot import RegistryModel


@pytest.fixture
def registry(registry_root: Path) -> DirectoryRegistry:
    """A registry over the test's directory."""
    return DirectoryRegistry(registry_root)


@pytest.fixture
def only(registry: DirectoryRegistry) -> Callable[[], RegistryModel]:
    """Look at the registry and return its only model."""

    def look() -> RegistryModel:
        (model,) = registry.scan().models.values()
        return model

    return look
