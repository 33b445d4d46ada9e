"""The rooms are links, and the package lives beside a project that has rooms of the same names."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = ("features", "gateway", "models", "monitoring")
TRAINING_ONLY = {"pandas", "pyarrow", "onnx", "skl2onnx", "sklearn"}
TERMINAL_ONLY = {"typer", "rich"}


def run_python(code: str, directory: Path) -> str:
    """Run code as a person would in `directory`, and return what it printed."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("room", ROOMS)
def test_every_room_is_a_relative_link(room: str) -> None:
    """`driftgate/ROOM` is a relative link to the room, so that a checkout can be moved."""
    assert os.readlink(ROOT / "driftgate" / room) == f"../{room}"


def test_users_own_packages_keep_their_names(tmp_path: Path) -> None:
    """In a project with its own `models` and `features`, `import models` is theirs and ours is ours."""
    for room in ("models", "features", "gateway", "monitoring"):
        (tmp_path / room).mkdir()
        (tmp_path / room / "__init__.py").write_text("OWNER = 'user'\n")
    code = """
import features, models, gateway, monitoring
import driftgate, driftgate.models.schema.manifest, driftgate.gateway.settings, driftgate.features
assert {room.OWNER for room in (features, models, gateway, monitoring)} == {"user"}
assert not hasattr(driftgate.models, "OWNER")
print(driftgate.publish.__module__, driftgate.load.__module__)
"""
    assert run_python(code, tmp_path).split() == [
        "driftgate.models.publish.model",
        "driftgate.models.local.load",
    ]


def loaded_by(module: str, tmp_path: Path) -> set[str]:
    """Return the top-level packages that importing a module brings in."""
    code = f"import json, sys, {module}; print(json.dumps(sorted({{m.split('.')[0] for m in sys.modules}})))"
    return set(json.loads(run_python(code, tmp_path)))


@pytest.mark.parametrize(
    "process", ["serving.worker", "admin.process", "processes.supervisor", "processes.probes"]
)
def test_server_processes_import_no_training_library(process: str, tmp_path: Path) -> None:
    """No process of the server brings in pandas, pyarrow, onnx, skl2onnx, scikit-learn or plotly."""
    assert not loaded_by(f"driftgate.gateway.{process}", tmp_path) & {*TRAINING_ONLY, "plotly"}


def test_a_worker_imports_no_terminal_library(tmp_path: Path) -> None:
    """A worker brings in neither typer nor rich."""
    assert not loaded_by("driftgate.gateway.serving.worker", tmp_path) & TERMINAL_ONLY


def test_the_command_line_starts_light(tmp_path: Path) -> None:
    """The command line imports no training library, so that every command starts at once."""
    assert not loaded_by("driftgate.gateway.cli.main", tmp_path) & TRAINING_ONLY


def test_importing_the_package_costs_nothing(tmp_path: Path) -> None:
    """`import driftgate` alone brings in nothing beyond the standard library."""
    assert not loaded_by("driftgate", tmp_path) & {*TRAINING_ONLY, *TERMINAL_ONLY, "numpy", "onnxruntime"}
