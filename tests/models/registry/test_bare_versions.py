"""Plain ONNX files as versions."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from driftgate.models.registry.directory import DirectoryRegistry

from harness.registry_files import (
    replace_by_link,
)


@pytest.fixture
def bare_root(registry_root: Path, model_bytes: Callable[[float], bytes]) -> Path:
    """A tree of plain ONNX files: one model with one version."""
    (registry_root / "bare" / "1").mkdir(parents=True)
    (registry_root / "bare" / "1" / "model.onnx").write_bytes(model_bytes(1.0))
    return registry_root


def test_bare_needs_permission(bare_root: Path) -> None:
    """A plain ONNX file without a manifest is invisible unless bare versions are allowed."""
    assert DirectoryRegistry(bare_root).scan().models["bare"].versions == {}


def test_bare_is_served(bare_root: Path, tmp_path: Path) -> None:
    """A bare version gets a manifest from its signature, with warnings, and can be fetched."""
    registry = DirectoryRegistry(bare_root, allow_bare=True)
    version = registry.scan().models["bare"].versions[1]
    assert [column.name for column in version.manifest.columns] == ["f0", "f1", "f2", "f3"]
    assert version.manifest.independent_rows
    assert any("golden" in warning for warning in version.manifest.warnings)
    registry.fetch(version, tmp_path / "copy")
    assert {path.name for path in (tmp_path / "copy").iterdir()} == {"manifest.json", "model.onnx"}
    assert registry.scan().models["bare"].versions[1] is version
    assert DirectoryRegistry(bare_root, allow_bare=True).scan().models["bare"].versions[1] == version


@pytest.mark.parametrize("content", [b"", b"<html>", b"\x80\x04\x95", b"\0" * 4096])
def test_bare_garbage(bare_root: Path, content: bytes) -> None:
    """A bare file that is no ONNX model is a problem of that version, without a path in its text."""
    (bare_root / "bare" / "1" / "model.onnx").write_bytes(content)
    model = DirectoryRegistry(bare_root, allow_bare=True).scan().models["bare"]
    assert model.versions == {}
    assert model.problems[1]
    assert tempfile.gettempdir() not in model.problems[1]


def test_bare_without_room(bare_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a place to examine it, a bare version is a problem, and is looked at again later."""
    registry = DirectoryRegistry(bare_root, allow_bare=True)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    assert "cannot be copied to be examined" in registry.scan().models["bare"].problems[1]
    monkeypatch.undo()
    assert set(registry.scan().models["bare"].versions) == {1}


def test_bare_link(bare_root: Path) -> None:
    """A link in place of a bare file is not followed."""
    replace_by_link(bare_root / "bare" / "1" / "model.onnx")
    model = DirectoryRegistry(bare_root, allow_bare=True).scan().models["bare"]
    assert "link" in model.problems[1]
