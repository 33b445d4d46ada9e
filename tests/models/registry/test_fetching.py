"""Versions are copied as they were seen, or not at all."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from driftgate.models.errors import RegistryError
from driftgate.models.publish.onnx_file import Published
from driftgate.models.registry.directory import DirectoryRegistry
from driftgate.models.schema.manifest import Manifest

Publish = Callable[..., Published]
Rewrite = Callable[..., Manifest]


def test_fetched_files_are_the_published_ones(
    tmp_path: Path, registry_root: Path, registry: DirectoryRegistry, publish_version: Publish
) -> None:
    """Fetching copies the listed files and the manifest, byte by byte, and nothing else."""
    publish_version("m")
    (registry_root / "m" / "1" / "unlisted.bin").write_bytes(b"x")
    registry.fetch(registry.scan().models["m"].versions[1], tmp_path / "copy")
    copied = {path.name: path.read_bytes() for path in (tmp_path / "copy").iterdir()}
    assert set(copied) == {"examples.npz", "manifest.json", "model.onnx"}
    assert all((registry_root / "m" / "1" / name).read_bytes() == data for name, data in copied.items())


@pytest.mark.parametrize("then", ["changed", "gone", "all gone"])
def test_fetch_of_what_was_seen(
    tmp_path: Path, registry_root: Path, publish_version: Publish, rewrite_manifest: Rewrite, then: str
) -> None:
    """A version that changed or went after the look is refused; a half-made copy has no manifest."""
    publish_version("m")
    registry = DirectoryRegistry(registry_root)
    directory = registry_root / "m" / "1"
    version = registry.scan().models["m"].versions[1]
    if then == "changed":
        rewrite_manifest(directory, meta={"other": "content"})
    elif then == "gone":
        (directory / "manifest.json").unlink()
    else:
        shutil.rmtree(directory)
    with pytest.raises(RegistryError):
        registry.fetch(version, tmp_path / "copy")
    assert not (tmp_path / "copy" / "manifest.json").exists()
