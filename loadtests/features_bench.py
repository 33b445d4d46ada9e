"""What stored features can take: loading, swapping under load, Redis away, and Feast beside it.

    .venv/bin/python -m loadtests.features_bench [--quick] [--feast /path/to/a/python/with/feast]

Prediction by key against all features sent is `python -m loadtests bench --model features`.
"""

import argparse
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from loadtests.bench.features import BY_KEY, CELLS, ENTITIES, VIEW, prepare, questions_of, run
from loadtests.bench.load import Load, measure_load
from loadtests.bench.machine import Cores, split_cores
from loadtests.feast_server import feast_questions, serving_feast
from loadtests.gateway import Failed, Gateway, Setup, running, wait_traffic, workplace
from loadtests.redis_process import redis_process
from loadtests.wire import Address

CONNECTIONS = 16
CELL = next(cell for cell in CELLS if cell.server == BY_KEY and cell.connections == CONNECTIONS)
LOADED_ROWS = 1_000_000
LOAD_GOAL, SWAP_GOAL, AWAY_GOAL_MS, FEAST_GOAL = 200_000, 2.0, 2.0, 20.0
SWAP_EVERY_S = 0.2
SETTLED_S = 2.0


@dataclass(frozen=True)
class Bench:
    """Where it runs, how long each figure takes, and a Python that has Feast, if there is one."""

    root: Path
    cores: Cores
    seconds: float
    feast: Path | None


def show(name: str, figure: str, met: bool) -> bool:
    """Print one figure and whether it is what it should be; return that."""
    print(f"{'met   ' if met else 'MISSED'} {name}: {figure}", flush=True)
    return met


def load_rate(bench: Bench, rows: int) -> bool:
    """Load a Parquet file of 20 features."""
    generator = np.random.default_rng(1)
    order = generator.permutation(rows)
    names = [f"f{number}" for number in range(10, 30)]
    columns: dict[str, object] = {name: generator.random(rows, np.float32) for name in names}
    columns["user"] = [f"user-{number}" for number in order]
    columns["event_time"] = np.full(rows, 1_770_000_000_000_000).astype("datetime64[us]")
    pq.write_table(pa.table(columns), bench.root / "rows.parquet")
    words = ["features", "load", VIEW, str(bench.root / "rows.parquet"), "--json", "--no-history"]
    report = json.loads(run([*words, *_places(bench.root, "loaded")]))
    rate = rows / report["seconds"]
    return show(f"load of {rows:,} rows x 20", f"{rate:,.0f} rows/s", rate >= LOAD_GOAL)


def swaps(bench: Bench, gateway: Gateway) -> bool:
    """Go to and fro between two snapshots under load."""
    _asked(bench, gateway, SETTLED_S)
    steady = _asked(bench, gateway)
    stopping, swapped = threading.Event(), 0

    def swap() -> None:
        nonlocal swapped
        with httpx.Client(trust_env=False) as client:
            while not stopping.wait(SWAP_EVERY_S):
                wanted = {"snapshot": 1 + swapped % 2}
                answer = client.post(f"{gateway.admin}/api/features/{VIEW}/rollback", json=wanted)
                swapped += answer.status_code == 200

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        under = _asked(bench, gateway)
    finally:
        stopping.set()
        thread.join()
    ratio = under.p99_ms / steady.p99_ms
    figure = (
        f"{swapped} swaps, {under.errors} of {under.answered} failed, "
        f"p99 {steady.p99_ms:.2f} ms to {under.p99_ms:.2f} ms ({ratio:.2f} x)"
    )
    return show("swaps under load", figure, swapped > 0 and not under.errors and ratio <= SWAP_GOAL)


def redis_away(bench: Bench) -> bool:
    """Ask while Redis answers, and while it is stopped and every breaker open."""
    with redis_process(bench.root) as (redis, url):
        environment = {"DRIFTGATE__FEATURES__STORE": "redis", "DRIFTGATE__FEATURES__REDIS_URL": url}
        with _gateway(bench, environment) as gateway:
            run(["features", "push", VIEW, str(_lines(bench.root)), "--url", gateway.data])
            _asked(bench, gateway, SETTLED_S)
            steady = _asked(bench, gateway)
            redis.send_signal(signal.SIGSTOP)
            _asked(bench, gateway, SETTLED_S)
            away = _asked(bench, gateway)
            redis.send_signal(signal.SIGCONT)
    added = away.p99_ms - steady.p99_ms
    figure = f"{away.errors} failed, p99 {steady.p99_ms:.2f} ms to {away.p99_ms:.2f} ms ({added:+.2f} ms)"
    return show("Redis away, breaker open", figure, not away.errors and added <= AWAY_GOAL_MS)


def against_feast(bench: Bench, gateway: Gateway, python: Path) -> bool:
    """Compare predictions by key, look-up and model, with Feast's look-up alone."""
    _asked(bench, gateway, SETTLED_S)
    ours = _asked(bench, gateway)
    with serving_feast(bench.root / "feast", python, bench.cores.server) as address:
        measure_load(feast_questions(), address, CONNECTIONS, SETTLED_S, bench.cores.load)
        theirs = measure_load(feast_questions(), address, CONNECTIONS, bench.seconds, bench.cores.load)
    if not theirs.answered:
        raise Failed("Feast answered nothing")
    ratio = ours.rate / theirs.rate
    figure = (
        f"{ours.rate:,.0f}/s against {theirs.rate:,.0f}/s ({ratio:.0f} x); "
        f"{ours.errors} and {theirs.errors} failed"
    )
    return show("predictions by key against Feast's look-up", figure, ratio >= FEAST_GOAL)


def _asked(bench: Bench, gateway: Gateway, seconds: float | None = None) -> Load:
    length = seconds or bench.seconds
    address = Address.of(gateway.data)
    return measure_load(questions_of(CELL), address, CONNECTIONS, length, bench.cores.load)


@contextmanager
def _gateway(bench: Bench, environment: dict[str, str]) -> Iterator[Gateway]:
    with running(bench.root, Setup(environment=environment, cores=bench.cores.server)) as gateway:
        wait_traffic(gateway, BY_KEY.replace(" ", "-"))
        yield gateway


def _lines(root: Path) -> Path:
    """Return the file of all entities as JSON lines."""
    path = root / "users.jsonl"
    names = [f"f{number}" for number in range(10, 30)]
    with path.open("w") as file:
        for number in range(ENTITIES):
            row = {"user": f"user-{number}", "event_time": "2026-01-01T00:00:00Z"}
            file.write(json.dumps(row | dict.fromkeys(names, number / ENTITIES)) + "\n")
    return path


def _places(root: Path, state: str) -> list[str]:
    return ["--state", str(root / state), "--registry", str(root / "registry")]


def main() -> int:
    """Measure everything; return 1 if a goal is missed, 2 if nothing could be measured."""
    parser = argparse.ArgumentParser(description="Bench stored features.")
    parser.add_argument("--quick", action="store_true", help="a second for each figure, 100,000 rows")
    parser.add_argument(
        "--feast", type=Path, help="a Python that has Feast; without it that part is left out"
    )
    asked = parser.parse_args()
    try:
        with workplace() as root:
            bench = Bench(root, split_cores(), 1.5 if asked.quick else 6.0, asked.feast)
            prepare(root)
            met = [load_rate(bench, LOADED_ROWS // 10 if asked.quick else LOADED_ROWS)]
            again = ["features", "load", VIEW, str(root / "users.csv")]
            run([*again, *_places(root, "state")])
            with _gateway(bench, {}) as gateway:
                met.append(swaps(bench, gateway))
                if bench.feast:
                    met.append(against_feast(bench, gateway, bench.feast))
            met.append(redis_away(bench))
    except (Failed, subprocess.SubprocessError, OSError) as error:
        print(f"features_bench: {error}", file=sys.stderr)
        return 2
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
