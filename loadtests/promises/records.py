"""LOG: predictions that were answered are in the log, whoever is killed, and are counted once."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from contextlib import closing
from dataclasses import replace
from itertools import cycle
from pathlib import Path

import pandas
import uvloop

from loadtests.ask import document
from loadtests.bench.machine import tree
from loadtests.gateway import Failed, Gateway, Setup
from loadtests.promises.ground import MODEL, prepared, signed_target, traffic
from loadtests.promises.verdict import Verdict, none_of
from loadtests.target import Question, Target
from loadtests.wire import Address, Answer

KILLS = 100
RATE = 1000.0
CLIENTS = 32
BETWEEN_S = 0.5
MONITOR = b"driftgate.gateway.monitor.process"
EXPORT_S = 120.0
MINUTE_US = 60_000_000
_ID_AT = slice(7, 43)

Counts = dict[tuple[int, str, int, int], int]


def all_recorded(scale: float) -> list[Verdict]:
    """Kill workers and the monitor in turn under load; compare answers, log, archive and counts."""
    kills = max(4, round(KILLS * scale))
    with prepared(1, Setup(workers=2, environment={"DRIFTGATE__LOG__MODE": "written"})) as gateway:
        acknowledged: list[str] = []
        answered = uvloop.run(_kill_under_load(gateway, kills, acknowledged))
        gateway.stop()
        records = _exported(gateway)
        counted = _counted(gateway.state / "monitor.db")
    ids = records["prediction_id"].astype(str)
    lost = set(acknowledged) - set(ids)
    single = _single_pass(records)
    wrong = {key for key in single.keys() | counted.keys() if single.get(key) != counted.get(key)}
    return [
        none_of(f"answered predictions that are not in the log after {kills} kills: 0", len(lost), answered),
        none_of("records that are there twice: 0", int(ids.duplicated().sum()), len(ids)),
        none_of("counts that differ from those of one pass over all records: 0", len(wrong), len(single)),
    ]


async def _kill_under_load(gateway: Gateway, kills: int, acknowledged: list[str]) -> int:
    admin = Address.of(gateway.admin)
    target = _noting(signed_target(), acknowledged)
    async with traffic(target, Address.of(gateway.data), RATE, CLIENTS) as flow:
        await asyncio.sleep(1.0)
        for victim in _in_turn(kills):
            if victim < 0:
                os.kill(_monitor(gateway), signal.SIGKILL)
            else:
                slots = (await document(admin, "/api/state"))["slots"]
                os.kill(slots[victim]["pid"], signal.SIGKILL)
            await asyncio.sleep(BETWEEN_S)
            await _all_run(gateway, admin)
        await asyncio.sleep(1.0)
    return int(flow.run.tally.answered)


def _in_turn(kills: int) -> list[int]:
    """Return whom to kill: slot 0, slot 1, the monitor (-1), and so on."""
    order = cycle((0, 1, -1))
    return [next(order) for _ in range(kills)]


async def _all_run(gateway: Gateway, admin: Address) -> None:
    """Wait until both workers accept and the monitor runs again."""
    for _ in range(1500):
        slots = (await document(admin, "/api/state"))["slots"]
        if sum(bool(slot.get("accepting")) for slot in slots) == 2 and _monitors(gateway):
            return
        await asyncio.sleep(0.02)
    raise Failed("a process that was killed did not come back within 30 s")


def _monitors(gateway: Gateway) -> list[int]:
    return [pid for pid in tree(gateway.process.pid) if MONITOR in _command_line(pid)]


def _monitor(gateway: Gateway) -> int:
    return _monitors(gateway)[0]


def _command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def _noting(target: Target, acknowledged: list[str]) -> Target:
    """Return the target with questions that also note the prediction id of each right answer."""
    return replace(target, questions=tuple(_noting_one(one, acknowledged) for one in target.questions))


def _noting_one(question: Question, acknowledged: list[str]) -> Question:
    def is_right(answer: Answer) -> bool:
        acknowledged.append(answer.body[_ID_AT].decode())
        return question.is_right is None or question.is_right(answer)

    return replace(question, is_right=is_right)


def _exported(gateway: Gateway) -> pandas.DataFrame:
    """Return all records of the model, as an operator would get them."""
    out = gateway.root / "records.parquet"
    words = ["log", "export", "--model", MODEL, "--out", str(out), "--state", str(gateway.state)]
    command = [str(Path(sys.executable).with_name("driftgate")), *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=EXPORT_S)
    if done.returncode:
        raise Failed(f"the records cannot be exported: {done.stderr.strip()[-300:]}")
    return pandas.read_parquet(out)


def _single_pass(records: pandas.DataFrame) -> Counts:
    minutes = records["time"].astype("datetime64[us, UTC]").astype("int64") // MINUTE_US * MINUTE_US
    keys = zip(
        records["version"].astype(int),
        records["arm"].astype(str),
        records["code"].astype(int),
        minutes,
        strict=True,
    )
    return dict(Counter(keys))


def _counted(path: Path) -> Counts:
    """Return what the monitor has counted, by version, arm, code and minute."""
    query = "SELECT version, arm, code, pane_us, records FROM counts WHERE model = ?"
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        return {(v, arm, code, pane): n for v, arm, code, pane, n in db.execute(query, (MODEL,))}
