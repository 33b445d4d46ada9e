"""Manifests in a registry that make no version."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from driftgate.models.publish.onnx_file import Published
from driftgate.models.registry.snapshot import RegistryModel
from driftgate.models.schema.manifest import MAX_MANIFEST_BYTES, Manifest

Publish = Callable[..., Published]
Rewrite = Callable[..., Manifest]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "manifest.json"),
        (b'{"format": 1, "name": "m"', "manifest.json"),
        (b"<!doctype html>", "manifest.json"),
        (b"\x80\x04\x95pickle", "manifest.json"),
        (b"\xff\xfe{\x00}\x00", "manifest.json"),
        (b"[" * 100_000, "manifest.json"),
        (b'{"format": 99}', "Upgrade"),
        (b'{"format": 1}', "manifest.json"),
        (b" " * (MAX_MANIFEST_BYTES + 1), "larger than the limit"),
    ],
)
def test_broken_manifest_is_a_problem(
    registry_root: Path,
    publish_version: Publish,
    only: Callable[[], RegistryModel],
    content: bytes,
    complaint: str,
) -> None:
    """A manifest that is cut short, huge or something else is a problem of that version alone."""
    publish_version("m")
    (registry_root / "m" / "2").mkdir()
    (registry_root / "m" / "2" / "manifest.json").write_bytes(content)
    model = only()
    assert set(model.versions) == {1}
    assert complaint in model.problems[2]


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "other"},
        {"version": 2},
        {"name": "../m"},
        {"files": ()},
        {"format": 0},
    ],
)
def test_manifest_must_fit_its_place(
    registry_root: Path,
    publish_version: Publish,
    rewrite_manifest: Rewrite,
    only: Callable[[], RegistryModel],
    changes: dict[str, object],
) -> None:
    """A manifest of another model or version, or that contradicts itself, makes no version."""
    publish_version("m")
    rewrite_manifest(registry_root / "m" / "1", **changes)
    model = only()
    assert model.versions == {}
    assert model.problems[1]


@pytest.mark.parametrize(
    "path", ["../other/model.onnx", "/etc/passwd", "a/../../b", "", ".", "a\0b", "manifest.json"]
)
def test_listed_paths_stay_inside(
    registry_root: Path,
    publish_version: Publish,
    rewrite_manifest: Rewrite,
    only: Callable[[], RegistryModel],
    path: str,
) -> None:
    """A manifest that lists a file outside its directory, or itself, makes no version."""
    manifest = publish_version("m").manifest
    extra = msgspec.structs.replace(manifest.files[0], path=path)
    rewrite_manifest(registry_root / "m" / "1", files=(*manifest.files, extra))
    model = only()
    assert model.versions == {}
    assert "files" in model.problems[1]
