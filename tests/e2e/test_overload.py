"""What a model answers that is asked for more than it can compute in time."""

import socket
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import pytest

from harness.gateway import Gateway, running, until
from harness.models import publish_model, slow_model
from harness.raw_http import answers, connected, infer_request

pytestmark = pytest.mark.alone

ALWAYS = 16
"""So many may wait, whatever is predicted."""
ATTEMPTS = 20
BEFORE = 20
BEHIND = 30
MATRIX = 1200
"""A call takes tens of milliseconds then, which is when those behind it come."""


def test_what_would_wait_for_too_long_is_refused_at_once(tmp_path: Path) -> None:
    """Behind a queue that is long already requests get 503 with the reason, the others their answers."""
    publish_model(slow_model(MATRIX), tmp_path / "registry")
    with running(tmp_path, environment={"DRIFTGATE__LIMITS__MAX_WAIT_MS": "1"}) as gateway:
        for _ in range(ATTEMPTS):
            codes = crowd(gateway)
            if codes[503]:
                break
        assert codes.keys() == {200, 503}
        assert codes[200] >= ALWAYS
        until(lambda: "requests_shed" in gateway.log.read_text(), 5, "the log says how many were refused")


def crowd(gateway: Gateway) -> Counter[int]:
    """Let some requests queue, then send more behind them; return how all were answered."""
    with ExitStack() as stack:
        clients = [stack.enter_context(connected(gateway.ports.data)) for _ in range(BEFORE + BEHIND)]
        answered(clients[:1])
        send(clients[:BEFORE])
        time.sleep(0.01)  # on a machine that keeps up, the first call has begun and goes on for longer
        send(clients[BEFORE:])
        return Counter(status for client in clients for status, _ in answers(client, 1))


def send(clients: list[socket.socket]) -> None:
    """Send one request on each connection."""
    for client in clients:
        client.sendall(infer_request())


def answered(clients: list[socket.socket]) -> list[int]:
    """Ask once on each connection and return the codes."""
    send(clients)
    return [answers(client, 1)[0][0] for client in clients]
