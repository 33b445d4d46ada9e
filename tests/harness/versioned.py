"""Clients that check every answer against the version that it names: version v of a model gives 10 · v."""

import http.client
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple
from urllib.parse import urlsplit

from harness.traffic import BODY, asking

_SERVED_BY = re.compile(r"version=(\d+), arm=(\w+), generation=(\d+), why=hash(?:, bucket=\d+)?")
_DATA = re.compile(rb'"data":\[([0-9.]+)\]')


class Answer(NamedTuple):
    """One right answer: when it was asked for (CLOCK_MONOTONIC) and which version and generation gave it."""

    sent_at: float
    version: int
    generation: int


@dataclass
class Seen:
    """What the clients saw."""

    answers: list[Answer] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    stopping: threading.Event = field(default_factory=threading.Event)

    def versions(self) -> set[int]:
        """The versions that answered so far."""
        return {answer.version for answer in list(self.answers)}

    def sent_after(self, moment: float) -> list[Answer]:
        """The answers to what was sent after a moment."""
        return [answer for answer in list(self.answers) if answer.sent_at > moment]


@contextmanager
def versioned_traffic(url: str, model: str, clients: int = 4, pause_s: float = 0.002) -> Iterator[Seen]:
    """Let clients ask `model` over connections that are kept, until the block ends."""
    seen = Seen()
    ask = partial(_ask, url, f"/v2/models/{model}/infer", pause_s, seen)
    with asking(clients, ask, seen.stopping):
        yield seen


def _ask(url: str, path: str, pause_s: float, seen: Seen) -> None:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
    newest = 0
    while not seen.stopping.is_set():
        sent_at = time.monotonic()
        try:
            connection.request("POST", path, BODY)
            response = connection.getresponse()
            data = response.read()
        except (OSError, http.client.HTTPException) as error:
            seen.failures.append(repr(error))
            connection.close()
            continue
        served, value = _SERVED_BY.fullmatch(response.headers["x-served-by"] or ""), _DATA.search(data)
        if response.status != 200 or not served or not value or float(value[1]) != 10.0 * int(served[1]):
            seen.failures.append(f"{response.status} {served} {data[:200]!r}")
            continue
        if int(served[3]) < newest:
            seen.failures.append(f"generation {served[3]} after {newest} on one connection")
        newest = int(served[3])
        seen.answers.append(Answer(sent_at, int(served[1]), newest))
        time.sleep(pause_s)
    connection.close()
