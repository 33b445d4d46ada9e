"""Where a version comes from."""

import subprocess
from pathlib import Path

import pytest

from driftgate.models.publish.provenance import git_revision, provenance_now


def _git(directory: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=n", "-c", "user.email=e@example.invalid"]
    command = ["git", "-C", str(directory), *identity, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_the_revision_says_whether_files_differ(tmp_path: Path) -> None:
    """A clean commit is its hash; a changed file makes it dirty; outside a repository there is none."""
    assert git_revision(tmp_path) is None
    _git(tmp_path, "init", "-q")
    assert git_revision(tmp_path) is None
    (tmp_path / "train.py").write_text("1")
    _git(tmp_path, "add", ".")
    _git(tmp_path, "commit", "-q", "-m", "m")
    revision = _git(tmp_path, "rev-parse", "HEAD")
    assert git_revision(tmp_path) == revision
    (tmp_path / "train.py").write_text("2")
    assert git_revision(tmp_path) == f"{revision}-dirty"


def test_without_git_publishing_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without git publishes all the same."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_revision(tmp_path) is None


def test_versions_of_what_is_installed() -> None:
    """Libraries are named with their versions, absent ones are left out, and time is UTC."""
    found = provenance_now("onnx", ("numpy", "no-such-library"))
    assert list(found.libraries) == ["numpy"]
    assert found.created_at.endswith("+00:00")
