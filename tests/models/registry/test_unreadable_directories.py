"""What may not be read in a registry is a problem, and never a deletion."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from driftgate.models.errors import RegistryUnavailable
from driftgate.models.registry.directory import DirectoryRegistry
from driftgate.models.registry.snapshot import RegistryModel


@pytest.fixture
def unprivileged_registry() -> Iterator[Path]:
    """A registry with two models and a version each, and a process that may not read everything."""
    root = Path(tempfile.mkdtemp())
    directories = [root, root / "closed", root / "closed" / "1", root / "open", root / "open" / "1"]
    user, other = os.geteuid(), 65534
    for directory in directories:
        directory.mkdir(exist_ok=True)
        if user == 0:
            os.chown(directory, other, -1)
    if user == 0:
        os.seteuid(other)
    yield root
    os.seteuid(user)
    for directory in directories:
        directory.chmod(0o700)
    shutil.rmtree(root)


def test_unreadable_root(unprivileged_registry: Path) -> None:
    """A root that may not be read is unavailable."""
    unprivileged_registry.chmod(0)
    with pytest.raises(RegistryUnavailable, match="Permission denied"):
        DirectoryRegistry(unprivileged_registry).scan()


def test_unreadable_model_is_not_deleted(unprivileged_registry: Path) -> None:
    """A model that may not be read is a problem of that model alone."""
    (unprivileged_registry / "closed").chmod(0)
    models = DirectoryRegistry(unprivileged_registry).scan().models
    assert models["open"] == RegistryModel("open", {})
    assert models["closed"] == RegistryModel(
        "closed", {}, None, {0: "cannot be read: Permission denied"}, readable=False
    )


def test_unreadable_version_is_not_deleted(unprivileged_registry: Path) -> None:
    """A version that may not be read is a problem of that version alone."""
    (unprivileged_registry / "closed" / "1").chmod(0)
    model = DirectoryRegistry(unprivileged_registry).scan().models["closed"]
    assert (model.readable, model.problems) == (True, {1: "cannot be read: Permission denied"})
