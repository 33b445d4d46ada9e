"""`driftgate doctor` on real installations."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from driftgate.gateway.layout import StateLayout

from harness.gateway import Gateway

DOCTOR = (sys.executable, "-m", "driftgate.gateway.cli.main", "doctor")


def examined(root: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    """Run the doctor on a gateway's directory."""
    places = ("--state", str(root / "state"), "--registry", str(root / "registry"))
    return subprocess.run([*DOCTOR, *places, *options], cwd=root, capture_output=True, text=True, check=False)


def problems(root: Path) -> tuple[int, dict[str, Any]]:
    """Return the exit code and what is wrong, by check."""
    done = examined(root, "--json")
    found = json.loads(done.stdout)
    return done.returncode, {item["check"]: item for item in found if item["level"] == "problem"}


def test_a_sound_gateway_is_found_sound(shared_gateway: Gateway) -> None:
    """Where everything runs nothing is wrong, and the exit code says so."""
    assert problems(shared_gateway.root) == (0, {})
    done = examined(shared_gateway.root)
    assert done.returncode == 0
    assert "worker 0" in done.stdout


def test_what_is_wrong_is_named_with_what_to_do(tmp_path: Path) -> None:
    """A damaged history, a secret that others can read, no registry and no gateway are all found."""
    layout = StateLayout(tmp_path / "state")
    layout.root.mkdir(mode=0o700)
    layout.desired.mkdir(mode=0o700)
    (layout.desired / "1.json").write_bytes(b"{")
    layout.log_key.write_bytes(b"secret")
    os.chmod(layout.log_key, 0o644)
    layout.events.mkdir(mode=0o700)
    (layout.events / "control-000000000001.jsonl").write_bytes(b"{\n")
    layout.tokens.write_bytes(b"{")
    code, found = problems(tmp_path)
    assert code == 1
    assert "tokens.json cannot be read" in found["access"]["text"]
    assert "control-000000000001.jsonl" in found["history"]["text"]
    assert {"history", "permissions", "registry", "gateway"} <= found.keys()
    assert all(item["advice"] for item in found.values())


def test_the_registry_of_a_served_file_is_found(tmp_path: Path) -> None:
    """Beside `driftgate serve MODEL.onnx` the doctor needs no options: the registry lies below the state."""
    (tmp_path / "state" / "registry").mkdir(parents=True, mode=0o700)
    done = subprocess.run([*DOCTOR, "--json"], cwd=tmp_path, capture_output=True, text=True, check=False)
    levels = {item["check"]: item["level"] for item in json.loads(done.stdout)}
    assert (levels["registry"], levels["gateway"]) == ("ok", "problem")


def test_a_directory_that_is_none_is_said_to_be_none(tmp_path: Path) -> None:
    """Who names a wrong directory is told that it is no state directory."""
    code, found = problems(tmp_path)
    assert code == 1
    assert "is not there" in found["state"]["text"]
