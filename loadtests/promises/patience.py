"""R13 and R15: deadlines of those who ask, and the patience with those who are slow to."""

import asyncio
import json
from collections import Counter

import uvloop

from loadtests.arrivals import steady
from loadtests.ask import Line, document
from loadtests.bodies import json_question, random_rows
from loadtests.gateway import Gateway, Setup, publish, running, wait_traffic, workplace
from loadtests.open_loop import OpenLoop, Plan, Run
from loadtests.promises.ground import errors_of
from loadtests.promises.verdict import Verdict, at_least, at_most, none_of
from loadtests.scenario import SlowClients
from loadtests.slow import SlowOutcome, hold_slowly
from loadtests.target import Target
from loadtests.wire import Address, render
from loadtests.zoo import width_of

SLOW = "ponderous"
QUICK = "tiny"
PATH = f"/v2/models/{SLOW}/infer"
ROUNDS = 50
AHEAD_S = 0.01
"""How long a call of about 100 ms runs before those come whose deadlines end within it."""

IN_TIME = 200
TOO_LATE = {503, 504}

PASSED: tuple[dict[str, str], ...] = (
    {"x-request-timeout-ms": "0"},
    {"x-envoy-expected-rq-timeout-ms": "0"},
    {"grpc-timeout": "0n"},
    {"grpc-timeout": "20S", "x-request-timeout-ms": "0"},
    {"x-envoy-expected-rq-timeout-ms": "20000", "grpc-timeout": "1n"},
)
SHORT: tuple[dict[str, str], ...] = (
    {"x-request-timeout-ms": "20"},
    {"x-envoy-expected-rq-timeout-ms": "20"},
    {"grpc-timeout": "20000u"},
    {"x-request-timeout-ms": "20000", "grpc-timeout": "20m"},
)
MALFORMED: tuple[dict[str, str], ...] = tuple(
    {name: value}
    for name in ("x-request-timeout-ms", "x-envoy-expected-rq-timeout-ms", "grpc-timeout")
    for value in ("soon", "-1", "1.5", "1x", "9" * 20)
)

SLOW_CONNECTIONS = 500
RATE = 50.0
CLOSED_AFTER_S = (9.0, 11.0)
WATCHED_S = 14.0


def deadlines(scale: float) -> list[Verdict]:
    """R13: ask with deadlines that have passed, or end while the model is busy; count what it computes."""
    with workplace() as root:
        publish(root, SLOW, SLOW, 1)
        with running(root, Setup(workers=1)) as gateway:
            wait_traffic(gateway, SLOW)
            return uvloop.run(_ask_with_deadlines(gateway, max(3, round(ROUNDS * scale))))


async def _ask_with_deadlines(gateway: Gateway, rounds: int) -> list[Verdict]:
    address = Address.of(gateway.data)
    before = await _rows_computed(address)
    passed = [await _statuses(address, PASSED) for _ in range(rounds)]
    started = await _rows_computed(address) - before
    codes: Counter[int] = sum(passed, Counter())
    before = await _rows_computed(address)
    behind = [await _behind_a_call(address) for _ in range(rounds)]
    late = await _rows_computed(address) - before - sum(answers[IN_TIME] for answers in behind)
    waiting: Counter[int] = sum(behind, Counter())
    malformed = await _statuses(address, MALFORMED)
    return [
        none_of("inferences started for deadlines that had passed: 0", started, codes.total()),
        none_of("answers to them but 504: 0", _other(codes, {504}), codes.total()),
        none_of("inferences started after the deadline, behind a long call: 0", late, waiting.total()),
        none_of(
            "answers there but 504, or 503 at once: 0", _other(waiting, {IN_TIME, *TOO_LATE}), waiting.total()
        ),
        none_of(
            "malformed deadlines that were not answered with 400: 0",
            _other(malformed, {400}),
            malformed.total(),
        ),
    ]


async def _behind_a_call(address: Address) -> "Counter[int]":
    """Ask for one long call, then for many that would have to wait for it beyond their deadlines."""
    line = await Line.open(address)
    first = asyncio.create_task(line.ask(_request({})))
    await asyncio.sleep(AHEAD_S)
    found = await _statuses(address, SHORT * 5, timeout_us=20_000)
    found[(await first).status] += 1
    line.close()
    return found


async def _statuses(
    address: Address, asked: tuple[dict[str, str], ...], timeout_us: int | None = None
) -> "Counter[int]":
    """Ask all at once, each with its headers, and once more with the deadline of the body, if any."""
    requests = [_request(headers) for headers in asked]
    if timeout_us is not None:
        requests.append(_request({}, timeout_us))
    lines = [await Line.open(address) for _ in requests]
    answers = await asyncio.gather(
        *(line.ask(request) for line, request in zip(lines, requests, strict=True))
    )
    for line in lines:
        line.close()
    return Counter(answer.status for answer in answers)


def _request(headers: dict[str, str], timeout_us: int | None = None) -> bytes:
    tensor = {"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [0.0] * 4}
    more = {} if timeout_us is None else {"parameters": {"timeout": timeout_us}}
    return render("POST", PATH, json.dumps({"inputs": [tensor], **more}).encode(), headers)


async def _rows_computed(address: Address) -> int:
    stats = (await document(address, f"/v2/models/{SLOW}/stats"))["model_stats"]
    return int(stats[0]["inference_count"]) if stats else 0


def _other(codes: "Counter[int]", expected: set[int]) -> dict[int, int]:
    return {code: count for code, count in codes.items() if code not in expected}


def slow_clients(scale: float) -> list[Verdict]:
    """R15: silent, stalled and dripping connections beside ordinary requests."""
    count = max(50, round(SLOW_CONNECTIONS * scale))
    with workplace() as root:
        publish(root, QUICK, QUICK, 1)
        with running(root, Setup(workers=1)) as gateway:
            wait_traffic(gateway, QUICK)
            run, outcome = uvloop.run(_beside_slow_clients(gateway, count))
    earliest_s, latest_s = CLOSED_AFTER_S
    return [
        none_of(f"failed requests at {RATE:g}/s beside {count} slow clients: 0", errors_of(run), run.offered),
        none_of("slow connections that stayed open: 0", dict(outcome.still_open), outcome.opened),
        at_least("the first was closed after", outcome.youngest_closed_s or 0.0, earliest_s, "s"),
        at_most("the last was closed after", outcome.oldest_closed_s or WATCHED_S, latest_s, "s"),
    ]


async def _beside_slow_clients(gateway: Gateway, count: int) -> tuple[Run, SlowOutcome]:
    address, ended = Address.of(gateway.data), asyncio.Event()
    target = Target(QUICK, (json_question(QUICK, random_rows(width_of(QUICK))),))
    holding = asyncio.create_task(hold_slowly(SlowClients(count), address, ended))
    run = await OpenLoop(Plan((target,), steady(RATE, WATCHED_S)), address).run()
    ended.set()
    return run, await holding
