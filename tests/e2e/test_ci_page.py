"""The pipeline that docs/ci.md shows, run as it stands against a real gateway."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import yaml

from driftgate.gateway.state.generations import GenerationStore

from harness.gateway import Gateway
from harness.models import linear_model

PAGE = (Path(__file__).parents[2] / "docs" / "ci.md").read_text()


def block(language: str, mark: str) -> str:
    """Return the shown block in this language that contains `mark`."""
    found = re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    (only,) = (text for text in found if mark in text)
    return str(only)


def run(script: str, gateway: Gateway) -> str:
    """Run a shell script as a CI job would; fail with what it said if it fails."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["/bin/sh", "-c", script],
        cwd=gateway.root,
        env={**os.environ, "PATH": path, "DRIFTGATE_SERVER": gateway.ports.admin},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def splits(gateway: Gateway) -> list[dict[int, int]]:
    """Return every split of the model that was ever in force, versions to parts per million."""
    generations = GenerationStore(gateway.layout.desired)
    newest = generations.newest()
    assert newest is not None
    states = [generations.read(number) for number in range(1, newest[0].generation + 1)]
    return [
        {arm.version: arm.weight_ppm for arm in state.models["iris"].split.arms}
        for state in states
        if "iris" in state.models
    ]


def test_the_shown_pipeline_works(start_gateway: Callable[..., Gateway]) -> None:
    """Twice through the pipeline: the second model is published, gets 5 %, then everything."""
    gateway = start_gateway()
    train, pipeline = block("python", "driftgate.publish"), block("sh", "train.py")
    (gateway.root / "train.py").write_text(train.replace("C=1.0", "C=0.1"))
    assert "iris@1 is ready" in run(pipeline, gateway)
    assert gateway.model("iris")["labels"]["stable"] == 1
    (gateway.root / "train.py").write_text(train)
    assert "iris@2 is ready" in run(pipeline, gateway)
    assert {1: 950_000, 2: 50_000} in splits(gateway)
    assert gateway.model("iris")["labels"]["stable"] == 2
    assert "iris@2 is ready" in run(pipeline, gateway)


def test_an_onnx_file_is_published_as_shown(start_gateway: Callable[..., Gateway]) -> None:
    """The command's form of the first step publishes and waits."""
    gateway = start_gateway()
    (gateway.root / "iris.onnx").write_bytes(linear_model(2.0).SerializeToString())
    (gateway.root / "rows.csv").write_text("a,b,c,d\n1,2,3,4\n5,6,7,8\n")
    assert "iris@1 is ready" in run(block("sh", "iris.onnx"), gateway)


def test_the_shown_ci_file_has_the_same_steps() -> None:
    """The CI file parses, and its jobs are in the order of its stages."""
    shown = yaml.safe_load(block("yaml", "stages"))
    assert [shown[stage]["stage"] for stage in shown["stages"]] == shown["stages"]
