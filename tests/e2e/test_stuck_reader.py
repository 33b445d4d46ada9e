"""A log that nobody reads holds up neither workers nor their supervisor."""

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from select import PIPE_BUF

from driftgate.gateway.state.beat import BeatState, read_beat
from driftgate.gateway.state.slots import beat_path
from driftgate.models.publish.onnx_file import Published

from harness.gateway import Gateway, until


def test_a_full_pipe_behind_standard_error_stops_nothing(
    start_gateway: Callable[..., Gateway], publish_version: Callable[..., Published]
) -> None:
    """With a full pipe for a log the gateway starts, refuses, serves, replaces a worker and stops with 0."""
    publish_version("m")
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    for size in (PIPE_BUF, 1):
        with suppress(BlockingIOError):
            while True:
                os.write(writing, b"." * size)
    os.set_blocking(writing, True)
    gateway = start_gateway(stderr=writing)
    url = f"{gateway.ports.data}/v2/models/m/infer"
    answers = [gateway.client.post(url, content=b"{}") for _ in range(3000)]
    assert {answer.status_code for answer in answers} == {400}
    killed = read_beat(beat_path(gateway.layout, 0))
    assert killed is not None
    os.kill(killed.pid, signal.SIGKILL)

    def replaced() -> bool:
        now = read_beat(beat_path(gateway.layout, 0))
        return now is not None and now.boot != killed.boot and now.state is BeatState.ACCEPTING

    until(replaced, 10, "another worker accepts")
    assert gateway.infer("m", [[1, 2, 3, 4]]).status_code == 200
    assert gateway.stop() == 0
    os.close(reading)
    os.close(writing)
