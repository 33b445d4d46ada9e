"""Requests at a steady pace from several connections, each answer timed and kept."""

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import count
from types import TracebackType
from typing import Any

import httpx

from driftgate.gateway.demo.documents import Answer, Protocol, Scored, UnexpectedAnswer, body_of, scored
from driftgate.gateway.demo.held_out import HeldOut

CONNECTIONS = 4
REQUESTS_PER_S = 120
TIMEOUT_S = 10.0
PROTOCOLS: tuple[Protocol, ...] = ("predict", "predict", "predict", "infer")


@dataclass(frozen=True)
class Target:
    """One model under traffic: the rows to send and the metadata that the server gives of it."""

    held_out: HeldOut
    metadata: Mapping[str, Any]


@dataclass
class Traffic:
    """Sends rows of all targets in turn until it is closed; a context manager."""

    url: str
    targets: tuple[Target, ...]
    answers: list[Answer] = field(default_factory=list)
    _closed: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> "Traffic":
        start = time.monotonic()
        for connection in range(CONNECTIONS):
            thread = threading.Thread(target=self._connection, args=(connection, start), daemon=True)
            thread.start()
            self._threads.append(thread)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed.set()
        if kind is None:
            for thread in self._threads:
                thread.join(TIMEOUT_S + 1)

    def _connection(self, connection: int, start: float) -> None:
        with httpx.Client(base_url=self.url, timeout=TIMEOUT_S, trust_env=False) as client:
            for turn in count():
                number = turn * CONNECTIONS + connection
                if self._closed.wait(max(0.0, start + number / REQUESTS_PER_S - time.monotonic())):
                    return
                self.answers.append(self._ask(client, number))

    def _ask(self, client: httpx.Client, number: int) -> Answer:
        target = self.targets[number % len(self.targets)]
        turn = number // len(self.targets)
        row = turn % len(target.held_out.rows)
        protocol = PROTOCOLS[turn % len(PROTOCOLS)]
        started = time.perf_counter()
        try:
            found, error = _send(client, target, protocol, row), ""
        except (httpx.HTTPError, UnexpectedAnswer, ValueError) as failure:
            found, error = Scored(0, 0.0), f"{protocol}: {failure or type(failure).__name__}"
        latency_ms = (time.perf_counter() - started) * 1000
        return Answer(
            target.held_out.model, row, latency_ms, found.version, found.score, error, found.features
        )


def _send(client: httpx.Client, target: Target, protocol: Protocol, row: int) -> Scored:
    body = body_of(protocol, target.held_out.rows[row], dict(target.metadata))
    response = client.post(f"/v2/models/{target.held_out.model}/{protocol}", json=body)
    if response.status_code != 200:
        raise UnexpectedAnswer(f"status {response.status_code}: {response.text[:200]}")
    found = scored(response.json(), protocol, target.held_out.probabilities)
    return found._replace(features=response.headers.get("x-features", ""))
