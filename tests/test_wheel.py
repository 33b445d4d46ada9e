"""The wheel: the rooms are real folders in it, and it works without this checkout."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = ("features", "gateway", "models", "monitoring")


@pytest.fixture(name="wheel", scope="module")
def wheel_fixture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel as a release does, and return it."""
    place = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(place)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True, timeout=60)
    return next(place.glob("*.whl"))


def test_rooms_are_folders_of_the_wheel(wheel: Path) -> None:
    """Every Python file of every room is in the wheel below `driftgate/`, and no link."""
    files = {info.filename: info for info in zipfile.ZipFile(wheel).infolist()}
    sources = {
        f"driftgate/{path.relative_to(ROOT)}" for room in ROOMS for path in (ROOT / room).rglob("*.py")
    }
    assert sources <= files.keys()
    assert "driftgate/py.typed" in files
    static = (ROOT / "gateway" / "dashboard" / "static").iterdir()
    assert {f"driftgate/gateway/dashboard/static/{path.name}" for path in static} <= files.keys()
    assert not [name for name, info in files.items() if (info.external_attr >> 16) & 0o170000 == 0o120000]


def test_the_wheel_works_alone(wheel: Path, tmp_path: Path) -> None:
    """Unpacked anywhere, the wheel brings every process of the server, and the command line."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    names = ("serving.worker", "admin.process", "processes.supervisor", "processes.probes")
    modules = [f"driftgate.gateway.{name}" for name in names]
    code = f"import {', '.join(modules)}, driftgate.gateway.cli.main; print(driftgate.__file__)"
    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "site")},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).is_relative_to(tmp_path)
