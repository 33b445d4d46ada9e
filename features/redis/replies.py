"""What goes to Redis and what comes back, as types; the library stays in client."""

from typing import Any, NamedTuple

Command = tuple[bytes, ...]


class ErrorReply(NamedTuple):
    """What the server said instead of an answer: the first word of it, such as WRONGTYPE or READONLY."""

    code: str


Reply = bytes | int | list[Any] | ErrorReply | None
"""Texts are bytes; the items of a list are replies."""
