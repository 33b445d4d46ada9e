"""One closed-loop measurement, by wrk where it is installed and by our own client where not."""

import json
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import uvloop

from loadtests.closed_loop import ClosedLoop
from loadtests.gateway import Failed, on_cores
from loadtests.target import Question, Target
from loadtests.wire import Address

SCRIPT = Path(__file__).parent / "wrk.lua"
WARM_UP_S = 0.5
WRK, OWN = "wrk", "our own closed loop"
LONGEST_S = 150.0


@dataclass(frozen=True)
class Load:
    """What came of one measurement; `client` says who measured."""

    client: str
    answered: int
    rate: float
    p50_ms: float
    p99_ms: float
    errors: int


def measure_load(
    questions: tuple[Question, ...], address: Address, connections: int, seconds: float, cores: frozenset[int]
) -> Load:
    """Send requests, whose bodies alone differ, in turn and over and over on so many connections.

    All come from these cores. Raises Failed if that breaks.
    """
    if shutil.which("wrk"):
        return _by_wrk(questions, address, connections, seconds, cores)
    with on_cores(cores):
        return uvloop.run(_closed(questions, address, connections, seconds))


def client_name() -> str:
    """Return who measures here."""
    return WRK if shutil.which("wrk") else OWN


async def _closed(
    questions: tuple[Question, ...], address: Address, connections: int, seconds: float
) -> Load:
    peak = await ClosedLoop(Target("bench", questions), address, connections).run(seconds, WARM_UP_S)
    errors = sum(peak.errors.values())
    return Load(OWN, peak.answered, peak.rate, peak.latency.p50, peak.latency.p99, errors)


def _by_wrk(
    questions: tuple[Question, ...], address: Address, connections: int, seconds: float, cores: frozenset[int]
) -> Load:
    head, _, body = questions[0].request.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
    environment = {
        "LOADTESTS_PATH": lines[0].split()[1],
        "LOADTESTS_CONTENT_TYPE": headers.get("content-type", ""),
        "LOADTESTS_AUTHORIZATION": headers.get("authorization", ""),
        "LOADTESTS_JSON_LENGTH": headers.get("inference-header-content-length", ""),
    }
    if len(questions) > 1:
        environment["LOADTESTS_SEVERAL"] = "1"  # one body on each line
        body = b"\n".join(question.request.partition(b"\r\n\r\n")[2] for question in questions)
    command = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "-s", str(SCRIPT)]
    return _load_of(_run_wrk([*command, f"http://{address.host}:{address.port}"], environment, body, cores))


def _run_wrk(command: list[str], environment: dict[str, str], body: bytes, cores: frozenset[int]) -> str:
    with tempfile.NamedTemporaryFile() as file, on_cores(cores):
        file.write(body)
        file.flush()
        variables = {**os.environ, **environment, "LOADTESTS_BODY": file.name}
        done = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=LONGEST_S)
    if done.returncode:
        raise Failed(f"wrk failed: {done.stderr.strip()[-300:]}")
    return done.stdout


def _load_of(output: str) -> Load:
    line = next((line for line in output.splitlines() if line.startswith("RESULT ")), None)
    if line is None:
        raise Failed(f"wrk said nothing of its result: {output[-300:]}")
    found = json.loads(line.removeprefix("RESULT "))
    rate = found["requests"] / (found["duration_us"] / 1e6)
    return Load(WRK, found["requests"], rate, found["p50_us"] / 1000, found["p99_us"] / 1000, found["errors"])
