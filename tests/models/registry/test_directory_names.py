"""Names of directories that cannot be a model or a version."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from driftgate.models.publish.onnx_file import Published
from driftgate.models.registry.directory import DirectoryRegistry
from driftgate.models.registry.snapshot import RegistryModel

Publish = Callable[..., Published]


@pytest.mark.parametrize(
    "name",
    ["a b", "-rf", "fraud\n", "fr\u0430ud", "a" * 129, "na\u00efve", "a\\b", "..x", "\x1b[31mred", "a;b"],
)
def test_bad_model_names(registry: DirectoryRegistry, registry_root: Path, name: str) -> None:
    """A directory whose name cannot name a model is not served; it is named, safely, unless hidden."""
    (registry_root / name).mkdir()
    snapshot = registry.scan()
    assert snapshot.models == {}
    assert len(snapshot.problems) == (0 if name.startswith(".") else 1)
    assert all(problem.isprintable() for problem in snapshot.problems)


def test_undecodable_name(registry: DirectoryRegistry, registry_root: Path) -> None:
    """A name that is not UTF-8 is reported in a text that can be encoded."""
    os.mkdir(os.fsencode(registry_root) + b"/\xff\xfe")
    (problem,) = registry.scan().problems
    assert problem.encode()


@pytest.mark.parametrize(
    "name", ["01", "1.0", "\uff11", "1 ", "+1", "0", "-1", "v2", "1e3", "9" * 19, "\u0663"]
)
def test_odd_version_directories(
    registry_root: Path, publish_version: Publish, only: Callable[[], RegistryModel], name: str
) -> None:
    """A directory whose name only resembles a version is not one, and the model says so."""
    publish_version("m")
    shutil.copytree(registry_root / "m" / "1", registry_root / "m" / name)
    model = only()
    assert set(model.versions) == {1}
    assert "is not a version" in model.problems[0]
