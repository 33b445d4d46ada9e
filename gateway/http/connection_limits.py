"""What one connection may send and how long it may take. Pure."""

import re
from dataclasses import dataclass

MAX_URL_BYTES = 8 * 1024
MAX_LINE_BYTES = 8 * 1024
MAX_HEAD_BYTES = 32 * 1024
MAX_HEADER_LINES = 100
"""As the usual proxies have them: what comes through one of those comes through here."""

LEAST_BYTES = 16 * 1024
"""What has to come, or be taken, within the receive timeout for it to begin anew."""

_ODD = re.compile(rb"//|\\|/\.{1,2}(?:/|$)|%(?:2e|2f|5c|7f|[01][0-9a-f])", re.IGNORECASE)
_AUTHORITY = re.compile(rb"^https?://[^/?#]*", re.IGNORECASE)


@dataclass(frozen=True)
class ConnectionLimits:
    """Settings of one port. `max_body_bytes` None: whoever takes the body bounds it."""

    receive_timeout_s: float = 10.0
    max_body_bytes: int | None = None


class Refused(Exception):
    """A request that is refused by its form alone, with this status; the connection ends with it."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Pace:
    """Tells whether something that should make progress does: LEAST_BYTES within every so many seconds."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._amount = 0

    def reset(self) -> None:
        """Begin anew at the next look."""
        self._since = None

    def is_too_slow(self, now: float, amount: int, patience_s: float) -> bool:
        """Look at what has been done so far, in bytes; return whether patience is at its end."""
        if self._since is None or amount - self._amount >= LEAST_BYTES:
            self._since, self._amount = now, amount
        return now - self._since >= patience_s


def check_head(version: str, headers: list[tuple[bytes, bytes]]) -> None:
    """Raise Refused unless the head is of HTTP/1 and names one host, as HTTP/1.1 demands (RFC 9112, 3.2)."""
    if version not in ("1.1", "1.0"):
        raise Refused(400, "HTTP/1.1 is spoken here")
    hosts = 0
    for name, _ in headers:
        if name == b"host":
            hosts += 1
    if hosts > 1 or (hosts == 0 and version == "1.1"):
        raise Refused(400, f"a request has exactly one Host header; this one has {hosts}")


def check_target(url: bytes) -> None:
    """Raise Refused for a path that a proxy might read otherwise: with `..`, `//` or escapes of such."""
    path = _AUTHORITY.sub(b"", url).partition(b"?")[0]
    if _ODD.search(path):
        raise Refused(400, "the path has '//', a dot segment or an escape that stands for one")


def check_length(headers: list[tuple[bytes, bytes]], limits: ConnectionLimits) -> None:
    """Raise Refused for a body that says it is larger than this port takes."""
    if limits.max_body_bytes is None:
        return
    for name, value in headers:
        if name == b"content-length" and int(value) > limits.max_body_bytes:
            raise Refused(413, f"the body is larger than {limits.max_body_bytes} bytes")
