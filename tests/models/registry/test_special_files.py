"""Links, FIFOs and hard links in a registry are not followed."""

from collections.abc import Callable
from pathlib import Path

import pytest

from driftgate.models.errors import UnsafeFile
from driftgate.models.publish.onnx_file import Published
from driftgate.models.registry.directory import DirectoryRegistry
from driftgate.models.registry.snapshot import RegistryModel

from harness.registry_files import (
    replace_by_directory,
    replace_by_fifo,
    replace_by_hard_link,
    replace_by_link,
)

Publish = Callable[..., Published]


@pytest.mark.parametrize("replace", [replace_by_link, replace_by_fifo])
@pytest.mark.parametrize("place", ["m", "m/1"])
def test_special_files_for_directories(
    registry_root: Path,
    registry: DirectoryRegistry,
    publish_version: Publish,
    replace: Callable[[Path], None],
    place: str,
) -> None:
    """A link or FIFO in place of a model's or version's directory is not followed and not a deletion."""
    publish_version("m")
    replace(registry_root / place)
    model = registry.scan().models["m"]
    assert model.versions == {}
    assert "links are not followed" in model.problems[0 if place == "m" else 1]
    assert model.readable is (place != "m")


@pytest.mark.parametrize(
    "replace", [replace_by_link, replace_by_fifo, replace_by_hard_link, replace_by_directory]
)
def test_special_files_for_manifests(
    registry_root: Path,
    publish_version: Publish,
    only: Callable[[], RegistryModel],
    replace: Callable[[Path], None],
) -> None:
    """A link, FIFO, hard link or directory in place of manifest.json is a problem of the version."""
    publish_version("m")
    replace(registry_root / "m" / "1" / "manifest.json")
    model = only()
    assert model.versions == {}
    assert "manifest.json" in model.problems[1]


@pytest.mark.parametrize("replace", [replace_by_link, replace_by_fifo, replace_by_hard_link])
def test_special_files_for_models(
    tmp_path: Path,
    registry_root: Path,
    registry: DirectoryRegistry,
    publish_version: Publish,
    replace: Callable[[Path], None],
) -> None:
    """A link, FIFO or hard link in place of a listed file is not copied."""
    publish_version("m")
    version = registry.scan().models["m"].versions[1]
    replace(registry_root / "m" / "1" / "model.onnx")
    with pytest.raises(UnsafeFile, match=r"'model\.onnx'"):
        registry.fetch(version, tmp_path / "copy")
