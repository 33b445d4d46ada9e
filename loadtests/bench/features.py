"""Prediction by key against prediction with all features sent: the same model and server, side by side."""

import csv
import json
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

import numpy as np
from rich.console import Console

from loadtests.bench.load import measure_load
from loadtests.bench.machine import cpu_seconds, split_cores
from loadtests.bench.measure import Cell, Finding, Goal, Measurement, judge, without_errors
from loadtests.bench.rounds import Pace
from loadtests.bench.servers import Bench, Server
from loadtests.bench.show import print_findings, print_measurements, write_results
from loadtests.bodies import random_rows
from loadtests.gateway import Failed, Setup, driftgate, publish, running, wait_traffic, workplace
from loadtests.target import Question
from loadtests.wire import Address, render
from loadtests.zoo import FEATURES

MODEL = "features"
SENT, STORED = 10, 20
ENTITIES = 20_000
QUESTIONS = 500
MANY = 100
ADDED_MS = 0.3
VIEW = "users"
ALL_SENT, BY_KEY = "all sent", "by key"
CELLS = tuple(
    Cell(server, MODEL, encoding, connections)
    for encoding, connections in (("json", 16), (f"json, {MANY} rows", 1))
    for server in (ALL_SENT, BY_KEY)
)
GOAL = Goal(
    f"{SENT} features sent and {STORED} stored, 16: over all {FEATURES} sent",
    CELLS[1],
    CELLS[0],
    "rate",
    at_least=0.9,
)


def run_features(console: Console, pace: Pace) -> bool:
    """Measure both ways of asking in rounds and return whether the goals are met."""
    with workplace() as root, console.status("loading features") as status:
        bench = Bench(root, split_cores())
        prepare(root)
        status.update("all features sent, and by key")
        measurements = list(_rounds(bench, pace))
    findings = [without_errors(measurements), judge(GOAL, measurements), _added(measurements)]
    print_measurements(console, measurements)
    print_findings(console, findings)
    console.print(f"written to {write_results(measurements, findings)}")
    return all(finding.met for finding in findings)


def prepare(root: Path) -> None:
    """Publish one model twice, of which the second time STORED columns are features, and load these."""
    publish(root, "tiny", ALL_SENT.replace(" ", "-"), 1)
    names = [f"f{number}" for number in range(SENT, SENT + STORED)]
    views = root / "registry" / "_features"
    views.mkdir()
    feature = '[[features]]\nname = "{}"\ndtype = "float32"\ndefault = 0.0\non_missing = "default"\n'
    declared = '[[join_keys]]\nname = "user"\n\n' + "\n".join(map(feature.format, names))
    (views / f"{VIEW}.toml").write_text(declared)
    binding = root / "binding.toml"
    binding.write_text(
        f'[[views]]\nview = "{VIEW}"\nkeys = {{ user = "user" }}\nfeatures = {json.dumps(names)}\n'
    )
    with (root / "users.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["user", "event_time", *names])
        for number, row in enumerate(random_rows(STORED, ENTITIES).tolist()):
            writer.writerow([f"user-{number}", "2026-01-01T00:00:00Z", *row])
    where = ["--registry", str(root / "registry")]
    model = ["publish", str(root / "tiny-1.onnx"), "--name", BY_KEY.replace(" ", "-")]
    run([*model, "--features", str(binding), *where])
    run(["features", "load", VIEW, str(root / "users.csv"), "--state", str(root / "state"), *where])


def run(words: list[str]) -> str:
    """Run a command of `driftgate` and return what it prints; raise Failed where it fails."""
    done = subprocess.run([driftgate(), *words], capture_output=True, text=True)
    if done.returncode:
        raise Failed(f"driftgate {' '.join(words[:2])}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def _rounds(bench: Bench, pace: Pace) -> Iterator[Measurement]:
    with running(bench.root, Setup(workers=1, environment={}, cores=bench.cores.server)) as gateway:
        for name in (ALL_SENT, BY_KEY):
            wait_traffic(gateway, name.replace(" ", "-"))
        server = Server(Address.of(gateway.data), gateway.process.pid)
        for number in range(pace.rounds + 1):
            for cell in CELLS:
                measured = _measure(bench, server, cell, (number, pace.cell_s))
                if number:  # the first round warms up
                    yield measured


def _measure(bench: Bench, server: Server, cell: Cell, when: tuple[int, float]) -> Measurement:
    number, seconds = when
    before = cpu_seconds(server.pid)
    load = measure_load(questions_of(cell), server.address, cell.connections, seconds, bench.cores.load)
    per_answer = (cpu_seconds(server.pid) - before) * 1e6 / max(load.answered, 1)
    return Measurement(cell, number, load.rate, load.p50_ms, load.p99_ms, per_answer, load.errors)


def questions_of(cell: Cell) -> tuple[Question, ...]:
    """Return different requests of a cell, so that no two of a turn ask for the same entity."""
    rows = 1 if cell.encoding == "json" else MANY
    by_key = cell.server == BY_KEY
    numbers = random_rows(SENT if by_key else FEATURES, rows * QUESTIONS).reshape(QUESTIONS, rows, -1)
    keys = np.random.default_rng(7).integers(0, ENTITIES, (QUESTIONS, rows))
    path, head = f"/v2/models/{cell.server.replace(' ', '-')}/infer", {"Content-Type": "application/json"}
    bodies = (
        _body(matrix, users if by_key else None) for matrix, users in zip(numbers, keys.tolist(), strict=True)
    )
    return tuple(Question(render("POST", path, body, head)) for body in bodies)


def _body(matrix: "np.ndarray[tuple[int, ...], np.dtype[np.float32]]", users: Sequence[int] | None) -> bytes:
    x = {"name": "x", "shape": matrix.shape, "datatype": "FP32", "data": matrix.ravel().tolist()}
    if users is None:
        return json.dumps({"inputs": [x]}).encode()
    names = [f"user-{number}" for number in users]
    key = {"name": "user", "shape": [len(names), 1], "datatype": "BYTES", "data": names}
    return json.dumps({"inputs": [x, key]}).encode()


def _added(measurements: Sequence[Measurement]) -> Finding:
    """Return what looking up MANY entities in one request adds to sending their rows: median over rounds."""
    many = {(one.cell.server, one.round): one.p50_ms for one in measurements if one.cell.connections == 1}
    rounds = {number for _, number in many}
    added = median(many[BY_KEY, number] - many[ALL_SENT, number] for number in rounds)
    return Finding(
        f"{MANY} entities in one request: p50 added, ms",
        f"≤ {ADDED_MS:g}",
        f"{added:.2f}",
        added <= ADDED_MS,
    )
