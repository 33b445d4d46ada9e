"""What a server says of itself when it is greeted, and whether features can be read from it. Pure."""

from typing import NamedTuple

from driftgate.features.redis.replies import Command, Reply

HELLO: Command = (b"HELLO",)
"""Since Redis 6; older servers, and some proxies, do not know it, and answer with an error."""

_UNSUPPORTED = {
    "cluster": (
        "it runs in cluster mode, which is not supported: name a server outside of a cluster, or a proxy in "
        "front of it"
    ),
    "sentinel": "it is a Sentinel, which holds no features: name the primary",
}


class Greeting(NamedTuple):
    """What a server is; empty where it does not say."""

    server: str = ""
    version: str = ""
    mode: str = ""

    @property
    def refusal(self) -> str:
        """Why features cannot be read from it; empty if they can."""
        return _UNSUPPORTED.get(self.mode, "")


def greeting_of(reply: Reply) -> Greeting:
    """Return what the reply to HELLO says."""
    if not isinstance(reply, list):
        return Greeting()
    told = dict(zip(reply[::2], reply[1::2], strict=False))
    return Greeting(*(_text(told.get(name)) for name in (b"server", b"version", b"mode")))


def _text(value: object) -> str:
    return ascii(value.decode(errors="replace"))[1:-1][:32] if isinstance(value, bytes) else ""
