"""Fixtures that many tests share: small models, published into a registry in a temporary directory."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, settings

from driftgate.models.publish.onnx_file import Published, publish_file
from driftgate.models.schema.manifest import FileEntry, Manifest, decode_manifest, encode_manifest
from driftgate.models.storage.version_writer import file_entries

from harness.models import linear_model

# A busy machine makes an example slow, not wrong
settings.register_profile("shared machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared machine")


@pytest.fixture
def model_bytes() -> Callable[[float], bytes]:
    """Make the bytes of a model that answers `scale` times the sum of its four inputs."""
    return lambda scale: bytes(linear_model(scale).SerializeToString())


@pytest.fixture
def registry_root(tmp_path: Path) -> Path:
    """An empty registry directory."""
    root = tmp_path / "registry"
    root.mkdir()
    return root


@pytest.fixture
def publish_version(
    registry_root: Path, tmp_path: Path, model_bytes: Callable[[float], bytes]
) -> Callable[..., Published]:
    """Publish a small model under a name, a number (or the next one), with a scale."""

    def publish(name: str = "m", version: int | None = None, scale: float = 1.0) -> Published:
        source = tmp_path / "source.onnx"
        source.write_bytes(model_bytes(scale))
        return publish_file(source, name=name, registry=registry_root, version=version)

    return publish


@pytest.fixture
def rewrite_manifest() -> Callable[..., Manifest]:
    """Write a version's manifest again, with changed fields and the hashes of the files that lie there."""

    def rewrite(directory: Path, **changes: object) -> Manifest:
        files: tuple[FileEntry, ...] = file_entries(directory)
        manifest = decode_manifest((directory / "manifest.json").read_bytes())
        changed = msgspec.structs.replace(manifest, **({"files": files} | changes))
        (directory / "manifest.json").write_bytes(encode_manifest(changed))
        return changed

    return rewrite
