"""What goes to Redis and what comes back, as types; the library stays in client."""

from typing import Any, NamedTuple

Command = tuple[bytes, ...]

_CREDENTIALS = "it refuses our credentials"
_CLUSTER = "it is part of a cluster, which is not supported"
_MEANINGS = {
    "NOAUTH": _CREDENTIALS,
    "WRONGPASS": _CREDENTIALS,
    "NOPERM": "the user may not do that (ACL)",
    "LOADING": "it is still loading its data",
    "MASTERDOWN": "a replica has lost its primary",
    "READONLY": "a replica takes no writes",
    **dict.fromkeys(("MOVED", "ASK", "CROSSSLOT", "CLUSTERDOWN", "TRYAGAIN"), _CLUSTER),
}


class ErrorReply(NamedTuple):
    """What the server said instead of an answer: the first word of it, such as WRONGTYPE or READONLY."""

    code: str

    def __str__(self) -> str:
        meaning = _MEANINGS.get(self.code)
        return f"{self.code}: {meaning}" if meaning else self.code


Reply = bytes | int | list[Any] | ErrorReply | None
