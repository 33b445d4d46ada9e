"""What `driftgate doctor` finds of a feature store that is far away: asks it as a worker would."""

import time
from collections.abc import Iterator
from contextlib import suppress

from driftgate.features.errors import StoreUnavailable
from driftgate.features.redis.hello import Greeting
from driftgate.features.redis.replies import Command, ErrorReply
from driftgate.gateway.layout import StateLayout
from driftgate.gateway.processes.diagnosis import Finding
from driftgate.gateway.processes.redis_address import redis_address, redis_module
from driftgate.gateway.settings import FeatureSettings, InvalidConfiguration
from driftgate.gateway.state.feature_counters import LAYOUT, STORE_DOWN
from driftgate.gateway.state.integer_blocks import UnreadableBlocks, read_blocks

ANSWER_S = 1.0
_ADVICE = "look at the server and features.redis_url; until then answers go on with the declared defaults"
_QUESTIONS: dict[str, Command] = {
    "driftgate": (b"MGET", b"driftgate/doctor"),
    "feast": (b"HMGET", b"doctor", b"doctor"),
}
"""Commands that workers send, about an entity that is not there."""


def feature_server(settings: FeatureSettings) -> Iterator[Finding]:
    """Ask the server that the settings name, nobody where features lie on this machine."""
    if settings.store != "redis":
        return
    try:
        connection = redis_module("client").FillingConnection(redis_address(settings), ANSWER_S)
    except InvalidConfiguration as error:
        yield Finding("feature store", "problem", str(error), "correct the settings")
        return
    try:
        greeting: Greeting = connection.greeting()
        began = time.perf_counter()
        (reply,) = connection.round_trip([_QUESTIONS[settings.redis_layout]])
        took_ms = (time.perf_counter() - began) * 1e3
    except StoreUnavailable as error:
        yield Finding("feature store", "problem", str(error), _ADVICE)
        return
    finally:
        connection.close()
    if isinstance(reply, ErrorReply):
        yield Finding("feature store", "problem", f"Redis refuses: {reply}", _ADVICE)
    else:
        name = f"{greeting.server or 'Redis'} {greeting.version}".strip()
        yield Finding("feature store", "ok", f"{name} answers in {took_ms:.1f} ms")


def not_asking(layout: StateLayout, slot: int) -> Iterator[Finding]:
    """Look whether a worker has stopped asking the feature store."""
    with suppress(UnreadableBlocks):
        for names, cells in read_blocks(layout.feature_counters(slot), LAYOUT):
            if not any(names) and cells[STORE_DOWN]:
                text = "it does not ask the feature store, which failed; every 1 to 30 s it tries"
                yield Finding(f"worker {slot}", "problem", text, _ADVICE)
