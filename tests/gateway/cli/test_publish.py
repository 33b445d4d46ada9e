"""The verbs `publish` and `check`, as a person calls them."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from driftgate.gateway.cli.main import main

from harness.models import linear_model


class Done(NamedTuple):
    """What a command left behind."""

    returncode: int
    stdout: str
    stderr: str


Run = Callable[..., Done]


@pytest.fixture
def driftgate(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command line in this process, where scikit-learn is imported already."""

    def run(*arguments: str | Path) -> Done:
        monkeypatch.setattr(sys, "argv", ["driftgate", *map(str, arguments)])
        try:
            main()
        except SystemExit as left:
            return Done(int(left.code or 0), *capsys.readouterr())
        return Done(0, *capsys.readouterr())

    return run


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """An ONNX file of four inputs."""
    path = tmp_path / "model.onnx"
    path.write_bytes(linear_model(2.0).SerializeToString())
    return path


def test_publish_with_everything_stated(driftgate: Run, tmp_path: Path, model: Path) -> None:
    """Every option finds its way into the manifest, and nothing is left to warn of."""
    (tmp_path / "rows.csv").write_text("age,b,c,d,total\n1,2,3,4,20\n5,6,7,8,52\n")
    (tmp_path / "columns.toml").write_text('[[columns]]\nname = "age"\nunit = "a"\n')
    (tmp_path / "task.json").write_text(
        '{"type": "regression", "outputs": [{"name": "y", "role": "prediction"}]}'
    )
    options: list[str | Path] = ["--examples", tmp_path / "rows.csv", "--columns", tmp_path / "columns.toml"]
    options += ["--task", tmp_path / "task.json", "--target", "total", "--meta", "team=growth"]
    done = driftgate("publish", model, "--name", "sums", "--registry", tmp_path / "r", *options, "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert (document["version"], document["created"], document["warnings"]) == (1, True, [])
    manifest = json.loads((tmp_path / "r/sums/1/manifest.json").read_text())
    assert manifest["columns"][0] == {
        "name": "age",
        "input": "x",
        "datatype": "FP32",
        "index": 0,
        "unit": "a",
    }
    assert (manifest["task"]["label_name"], manifest["meta"]) == ("total", {"team": "growth"})
    assert manifest["golden"]["rows"] == 2


def test_publish_says_what_a_bare_file_lacks(driftgate: Run, tmp_path: Path, model: Path) -> None:
    """Notes go to stderr, so that stdout stays for what was done; again is no error."""
    arguments: list[str | Path] = ["publish", model, "--name", "m", "--registry", tmp_path / "r"]
    first, again = driftgate(*arguments), driftgate(*arguments)
    assert first.stdout.startswith("Published m version 1")
    assert "--columns" in first.stderr
    assert again.returncode == 0
    assert again.stdout.startswith("Already there, unchanged: m version 1")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--name", "../m"], (1, "cannot name a model")),
        (["--name", "m", "--examples", "absent.csv"], (1, "absent.csv cannot be read")),
        (["--name", "m", "--examples", "rows.xls"], (1, "rows are read from .csv, .json, .npz, .parquet")),
        (["--name", "m", "--meta", "growth"], (2, "KEY=VALUE")),
        ([], (2, "--name")),
    ],
)
def test_publish_refuses_with_a_reason(
    driftgate: Run, model: Path, options: list[str], reason: tuple[int, str]
) -> None:
    """What cannot be published leaves with a code and one line of reason, never a traceback."""
    done = driftgate("publish", model, "--registry", model.parent / "r", *options)
    assert done.returncode == reason[0]
    assert reason[1] in done.stderr
    assert "Traceback" not in done.stderr


def test_check_shows_what_would_be_served(driftgate: Run, tmp_path: Path, model: Path) -> None:
    """A good version is shown with its columns, golden rows and timings; a file of its own too."""
    driftgate("publish", model, "--name", "m", "--registry", tmp_path / "r")
    done = driftgate("check", tmp_path / "r/m/1", "--json")
    document = json.loads(done.stdout)
    assert (done.returncode, document["ok"], document["golden_difference"]) == (0, True, 0.0)
    assert set(document["latency_us"]) == {"1", "8", "64"}
    assert [column["name"] for column in document["columns"]] == ["f0", "f1", "f2", "f3"]
    shown = driftgate("check", model)
    assert shown.returncode == 0
    assert "8 rows reproduced" in shown.stdout


def test_check_fails_on_a_damaged_version(driftgate: Run, tmp_path: Path, model: Path) -> None:
    """A file that is not what the manifest says is exit code 1, with the reason in both forms."""
    driftgate("publish", model, "--name", "m", "--registry", tmp_path / "r")
    damaged = tmp_path / "r/m/1/model.onnx"
    damaged.write_bytes(damaged.read_bytes() + b"\0")
    done = driftgate("check", tmp_path / "r/m/1", "--json")
    assert (done.returncode, json.loads(done.stdout)["ok"]) == (1, False)
    plain = driftgate("check", tmp_path / "r/m/1")
    assert plain.returncode == 1
    assert "model.onnx" in plain.stderr
    assert "Traceback" not in plain.stderr
