"""What a server says of itself."""

import pytest

from driftgate.features.redis.hello import Greeting, greeting_of
from driftgate.features.redis.replies import ErrorReply, Reply


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (
            [b"server", b"redis", b"version", b"6.2.14", b"proto", 2, b"mode", b"standalone"],
            Greeting("redis", "6.2.14", "standalone"),
        ),
        ([b"server", b"valkey", b"mode", b"cluster", b"modules", []], Greeting("valkey", "", "cluster")),
        ([b"mode", 7, b"server"], Greeting()),
        ([b"server", b"\xff\n" * 99], Greeting(r"\ufffd\n" * 4)),
        ([], Greeting()),
        (ErrorReply("ERR"), Greeting()),
        (b"OK", Greeting()),
    ],
)
def test_a_greeting_is_read(reply: Reply, expected: Greeting) -> None:
    """What is not said, or is said in another way, is empty; nothing odd reaches a log."""
    assert greeting_of(reply) == expected


@pytest.mark.parametrize(
    ("mode", "refused"), [("standalone", False), ("", False), ("cluster", True), ("sentinel", True)]
)
def test_features_are_not_read_from_everything(mode: str, refused: bool) -> None:
    """A cluster and a Sentinel are refused with what to do instead; whoever says nothing is tried."""
    refusal = Greeting(mode=mode).refusal
    assert (bool(refusal), "name " in refusal) == (refused, refused)
