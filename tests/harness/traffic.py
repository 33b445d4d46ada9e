"""Clients that ask without pause over connections that are kept, and remember what came of each request."""

import http.client
import json
import select
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from urllib.parse import urlsplit

BODY = json.dumps(
    {"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [1.0, 2.0, 3.0, 4.0]}]}
).encode()


@dataclass
class Traffic:
    """What some clients saw: how many answers were right, and when the other requests had been sent."""

    answered: int = 0
    failed_at: list[float] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    stopping: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, sent_at: float, problem: str) -> None:
        """Count one request; `problem` is empty for a right answer."""
        with self.lock:
            if problem:
                self.failed_at.append(sent_at)
                self.reasons.append(problem)
            else:
                self.answered += 1

    def flows(self) -> bool:
        """Tell whether requests are being answered."""
        return self.answered > 100

    def failed_before(self, moment: float) -> list[str]:
        """Return why requests failed that were sent before a moment (CLOCK_MONOTONIC, seconds)."""
        with self.lock:
            return [why for at, why in zip(self.failed_at, self.reasons, strict=True) if at < moment]


@contextmanager
def asking(clients: int, ask: Callable[[], None], stopping: threading.Event) -> Iterator[None]:
    """Let so many clients `ask` until the block ends; each goes on until `stopping` is set."""
    threads = [threading.Thread(target=ask) for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stopping.set()
        for thread in threads:
            thread.join()


@contextmanager
def traffic(url: str, model: str, clients: int, pause_s: float = 0.0) -> Iterator[Traffic]:
    """Let clients ask `model` for the sum of 1, 2, 3 and 4 until the block ends."""
    seen = Traffic()
    ask = partial(_ask, url, f"/v2/models/{model}/infer", pause_s, seen)
    with asking(clients, ask, seen.stopping):
        yield seen


def _drop_if_closed(connection: http.client.HTTPConnection) -> None:
    """Close our side of a connection that the server has closed, as every pool of connections does."""
    if connection.sock is not None and select.select([connection.sock], [], [], 0)[0]:
        connection.close()


def _ask(url: str, path: str, pause_s: float, seen: Traffic) -> None:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
    while not seen.stopping.is_set():
        _drop_if_closed(connection)
        sent_at = time.monotonic()
        try:
            connection.request("POST", path, BODY)
            answer = connection.getresponse()
            data = answer.read()
            seen.note(sent_at, "" if b'"data":[10.0]' in data else f"{answer.status} {data[:200]!r}")
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            seen.note(sent_at, repr(error))
            # A client that is refused tries again, though not at once.
            time.sleep(0.01)
        if pause_s:
            time.sleep(pause_s)
    connection.close()
