"""Publishing to a running gateway with the real command line: races, kills on both sides, tokens, copies."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from onnx import numpy_helper

from driftgate.gateway.state.beat import BeatReading, BeatState, read_beat
from driftgate.gateway.state.journal import read_journal
from driftgate.models.publish.onnx_file import publish_file
from driftgate.models.storage.transfer import verify_version

from harness.gateway import Gateway, end, start, until
from harness.models import linear_model

Start = Callable[..., Gateway]
Cli = Callable[..., "subprocess.Popen[str]"]

BALLAST_BYTES = 96 * 2**20


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[Cli]:
    """Start commands in the test's directory; none outlives the test."""
    with ExitStack() as running:

        def run(*words: str | Path, token: str = "") -> "subprocess.Popen[str]":
            process = running.enter_context(
                subprocess.Popen(
                    [sys.executable, "-m", "driftgate.gateway.cli.main", *map(str, words)],
                    cwd=tmp_path,
                    env={**os.environ, "DRIFTGATE_TOKEN": token},
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                )
            )
            running.callback(process.kill)
            return process

        yield run


def small(path: Path, scale: float) -> Path:
    """Write a model that answers `scale` times the sum of its inputs."""
    path.write_bytes(linear_model(scale).SerializeToString())
    return path


def large(path: Path) -> Path:
    """Write the same with so many unused weights that sending it takes a while."""
    model = linear_model(2.0)
    weights = np.random.default_rng(0).random(BALLAST_BYTES // 4, np.float32)
    model.graph.initializer.append(numpy_helper.from_array(weights, "ballast"))
    path.write_bytes(model.SerializeToString())
    return path


def publishing(
    cli: Cli, gateway: Gateway, model: Path, *more: str, token: str = ""
) -> "subprocess.Popen[str]":
    """Start to publish a model as `m`."""
    url = gateway.ports.admin
    return cli("publish", model, "--name", "m", "--server", url, "--json", *more, token=token)


def done(process: "subprocess.Popen[str]", code: int = 0) -> str:
    """Return what a command printed, after it left with this code."""
    printed, errors = process.communicate(timeout=60)
    assert process.returncode == code, errors
    return printed if code == 0 else errors


def staged(gateway: Gateway) -> list[Path]:
    """Return the model files of open uploads."""
    return list(gateway.registry.glob("m/.staging-*/model.onnx"))


def arriving(gateway: Gateway) -> bool:
    """Whether some of a model has arrived, and by far not all of it."""
    return any(0 < path.stat().st_size < BALLAST_BYTES // 2 for path in staged(gateway))


def visible(gateway: Gateway) -> set[str]:
    """Return what a reader of the registry sees of the model."""
    directory = gateway.registry / "m"
    return {path.name for path in directory.glob("*") if not path.name.startswith(".")}


def test_publish_wait_and_again(start_gateway: Start, cli: Cli, tmp_path: Path) -> None:
    """What is published is served by itself; again is a no-op, other content under its number a conflict."""
    gateway = start_gateway()
    model = small(tmp_path / "m.onnx", 2.0)
    first = json.loads(done(publishing(cli, gateway, model)))
    assert (first["version"], first["created"], first["server"]) == (1, True, gateway.ports.admin)
    assert verify_version(gateway.registry / "m" / "1")[1] == first["digest"]
    waited = cli("models", "wait", "m@1", "--ready", "--timeout", "20", "--server", gateway.ports.admin)
    assert done(waited) == "m@1 is ready\n"
    assert gateway.infer("m", [[1, 2, 3, 4]]).json()["outputs"][0]["data"] == [20.0]
    assert json.loads(done(publishing(cli, gateway, model))) == first | {"created": False}
    other = small(tmp_path / "other.onnx", 3.0)
    assert "already exists" in done(publishing(cli, gateway, other, "--version", "1"), 4)
    assert visible(gateway) == {"1", "model.toml"}


def test_racing_jobs_get_numbers_of_their_own(start_gateway: Start, cli: Cli, tmp_path: Path) -> None:
    """Jobs with other content get other numbers; two jobs with the same content get the same version."""
    gateway = start_gateway()
    scales = (2.0, 3.0, 3.0)
    models = [small(tmp_path / f"{job}.onnx", scale) for job, scale in enumerate(scales)]
    jobs = [publishing(cli, gateway, model) for model in models]
    placed = [json.loads(done(job)) for job in jobs]
    assert {one["version"] for one in placed[:2]} <= {1, 2, 3}
    assert placed[0]["version"] != placed[1]["version"]
    for one, scale in zip(placed, scales, strict=True):
        directory = gateway.registry / "m" / str(one["version"])
        assert (directory / "model.onnx").read_bytes() == linear_model(scale).SerializeToString()
    assert not staged(gateway)


def test_a_killed_job_leaves_nothing_visible_and_is_resumed(
    start_gateway: Start, cli: Cli, tmp_path: Path
) -> None:
    """kill -9 of the publisher in the middle: no version; the next one continues the very same file."""
    gateway = start_gateway()
    model = large(tmp_path / "m.onnx")
    killed = publishing(cli, gateway, model)
    until(lambda: arriving(gateway), 40, "a part of the model arrives")
    killed.kill()
    killed.wait(60)
    assert visible(gateway) == set()
    (half,) = staged(gateway)
    inode, size = half.stat().st_ino, half.stat().st_size
    assert 0 < size < model.stat().st_size
    assert json.loads(done(publishing(cli, gateway, model)))["version"] == 1
    placed = gateway.registry / "m" / "1" / "model.onnx"
    assert placed.stat().st_ino == inode
    assert placed.read_bytes() == model.read_bytes()
    assert not staged(gateway)


def test_control_may_be_killed_at_any_moment(start_gateway: Start, cli: Cli, tmp_path: Path) -> None:
    """kill -9 of control again and again, also while it places the version: it arrives whole and once."""
    gateway = start_gateway()
    model = large(tmp_path / "m.onnx")
    job = publishing(cli, gateway, model)
    for share in (0.05, 0.3, 0.6, 1.0):
        reached = round(share * model.stat().st_size)
        until(partial(ended_or_arrived, job, gateway, reached), 60, "more of the model arrives")
        control = read_beat(gateway.layout.control_beat)
        assert control is not None
        os.kill(control.pid, signal.SIGKILL)
        assert visible(gateway) <= {"1", "model.toml"}
        until(partial(replaced, gateway, control), 20, "control is back")
    assert json.loads(done(job))["version"] == 1
    verify_version(gateway.registry / "m" / "1")
    assert visible(gateway) == {"1", "model.toml"}
    gateway.wait_version("m", 1, within_s=30)


def arrived(gateway: Gateway) -> int:
    """How much of the model lies in the registry, by whatever name."""
    return sum(path.stat().st_size for path in gateway.registry.glob("m/*/model.onnx"))


def ended_or_arrived(job: "subprocess.Popen[str]", gateway: Gateway, least_bytes: int) -> bool:
    """Whether a job has ended, or so much has arrived."""
    return job.poll() is not None or arrived(gateway) >= least_bytes


def replaced(gateway: Gateway, before: BeatReading) -> bool:
    """Whether another control process accepts."""
    now = read_beat(gateway.layout.control_beat)
    return now is not None and now.boot != before.boot and now.state is BeatState.ACCEPTING


def test_tokens_publish_their_models_only(start_gateway: Start, cli: Cli, tmp_path: Path) -> None:
    """Without a token, or with one for other models, nothing is published; the right one needs no more."""
    gateway = start_gateway(environment={"DRIFTGATE__AUTH__MODE": "control"})
    model = small(tmp_path / "m.onnx", 2.0)
    made = {
        scope: done(cli("token", "create", "ci", "--scope", scope, "--state", gateway.layout.root)).strip()
        for scope in ("publish:m", "publish:other", "read:m")
    }
    assert "token" in done(publishing(cli, gateway, model), 7)
    for scope in ("publish:other", "read:m"):
        assert "publish:m" in done(publishing(cli, gateway, model, token=made[scope]), 7)
    (tmp_path / "token").write_text(made["publish:m"] + "\n")
    published = publishing(cli, gateway, model, "--token-file", str(tmp_path / "token"))
    assert json.loads(done(published))["version"] == 1
    events = read_journal(gateway.layout.events, "control")
    (who,) = (event.who for event in events if event.kind == "version_received")
    assert who.startswith("token:")
    wait = ("models", "wait", "m@1", "--timeout", "20", "--server", gateway.ports.admin)
    assert done(cli(*wait, token=made["publish:m"])) == "m@1 is ready\n"
    assert "token" in done(cli(*wait), 7)


def test_a_copy_is_the_same_version(start_gateway: Start, cli: Cli, tmp_path: Path) -> None:
    """From a gateway or a directory, with hash and provenance; a number that is taken is a conflict."""
    here = start_gateway()
    source = small(tmp_path / "m.onnx", 2.0)
    published = publish_file(source, name="m", registry=here.registry, version=7)
    publish_file(small(tmp_path / "n.onnx", 3.0), name="m", registry=tmp_path / "elsewhere", version=7)
    other = tmp_path / "there"
    other.mkdir()
    there = start(other, (), 1, {})
    try:
        copy = ("models", "copy", "m@7", "--to", there.ports.admin, "--json")
        first = json.loads(done(cli(*copy, "--server", here.ports.admin)))
        assert (first["version"], first["digest"], first["created"]) == (7, published.digest, True)
        manifests = [gateway.registry / "m/7/manifest.json" for gateway in (here, there)]
        assert manifests[0].read_bytes() == manifests[1].read_bytes()
        again = json.loads(done(cli(*copy, "--registry", here.registry)))
        assert again == first | {"created": False}
        assert "already exists" in done(cli(*copy, "--registry", tmp_path / "elsewhere"), 4)
        assert "m version 9 is not" in done(
            cli("models", "copy", "m@9", *copy[3:], "--server", here.ports.admin), 3
        )
        there.wait_version("m", 7)
    finally:
        end(there)


def test_no_server_is_told_at_once(cli: Cli, tmp_path: Path) -> None:
    """Where nobody answers the exit code says so, without long attempts."""
    model = small(tmp_path / "m.onnx", 2.0)
    job = cli("publish", model, "--name", "m", "--server", "http://127.0.0.1:1")
    assert "no answer from http://127.0.0.1:1" in done(job, 5)
