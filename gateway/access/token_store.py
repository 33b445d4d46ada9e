"""The tokens on disk: one file that its owner alone may read, replaced whole, seen by every process soon.

Whoever changes it holds a lock, so that a command on the same directory and the control process never lose
each other's changes. Readers need no lock.
"""

import fcntl
import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from driftgate.gateway.access.tokens import (
    ID_BYTES,
    SECRET_BYTES,
    Quota,
    Token,
    TokenFile,
    TokenSet,
    UnreadableTokens,
    check_name,
    check_scopes,
    decode_tokens,
    digest_of,
    encode_tokens,
    id_of,
    token_text,
    with_token,
    without_token,
)
from driftgate.gateway.errors import NotFound
from driftgate.gateway.listeners import CannotStart
from driftgate.gateway.logs import Logger
from driftgate.gateway.repeats import Repeats
from driftgate.models.storage.durable import write_whole

LOOK_EVERY_S = 0.5
MAX_FILE_BYTES = 16 * 2**20


class Wish(NamedTuple):
    """What a new token is to be: see `Token`."""

    name: str
    scopes: tuple[str, ...]
    quota: Quota | None = None


class TokenStore:
    """Reads and changes the tokens of one gateway; raises UnreadableTokens or OSError if the file is bad."""

    def __init__(self, path: Path, clock: Callable[[], str]) -> None:
        """`clock` gives the time as ISO 8601, UTC."""
        self._path = path
        self._clock = clock

    def read(self) -> TokenFile:
        """Return all tokens; none if there is no file yet."""
        return _read(self._path)

    def create(self, wish: Wish, who: str) -> tuple[Token, str]:
        """Add a token and return what is kept of it, and the token itself, which is nowhere else.

        Raises BadRequest if the wish is none.
        """
        with self._changing():
            file = self.read()
            text = _new_text({token.id for token in file.tokens})
            token = Token(
                id=id_of(text),
                name=check_name(wish.name),
                digest=digest_of(text),
                scopes=check_scopes(wish.scopes),
                created_at=self._clock(),
                created_by=who,
                quota=wish.quota,
            )
            changed = with_token(file, token)
            write_whole(self._path, encode_tokens(changed), durable=True)
            return changed.tokens[-1], text

    def revoke(self, token_id: str, who: str) -> Token:
        """Make a token worthless, and return it; raise NotFound if there is no good one with this id."""
        with self._changing():
            changed = without_token(self.read(), token_id, self._clock(), who)
            if changed is None:
                raise NotFound(f"there is no token {token_id[:40]!r}; `driftgate token list` shows the ids")
            write_whole(self._path, encode_tokens(changed), durable=True)
            return next(token for token in changed.tokens if token.id == token_id)

    @contextmanager
    def _changing(self) -> Iterator[None]:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        descriptor = os.open(self._path.with_name(f"{self._path.name}.lock"), flags, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


class TokenWatch:
    """The good tokens as one process knows them. `current` is replaced whole when the file changes."""

    def __init__(self, path: Path, logger: Logger) -> None:
        self._path = path
        self._logger = logger
        self._seen: object = ()
        self._looked_at = float("-inf")
        self._failures = Repeats()
        self.current = TokenSet()

    def look(self, now: float) -> None:
        """Read the file if it has changed, at most every LOOK_EVERY_S of monotonic seconds `now`.

        A file that cannot be read leaves everything as it was, and that is logged; without a file there are
        no tokens.
        """
        if now - self._looked_at >= LOOK_EVERY_S:
            self._looked_at = now
            self.refresh()

    def refresh(self) -> None:
        """Read the file now, if it has changed."""
        seen = _identity(self._path)
        if seen == self._seen:
            return
        self._seen = seen
        try:
            self.current = TokenSet(_read(self._path).tokens)
        except UnreadableTokens as error:
            self._logger.error("tokens_unreadable", reason=str(error))
        except OSError as error:  # it may pass, as a want of descriptors does: a revoked token must not stay
            self._seen = ()
            if self._failures.is_news(repr(error), time.monotonic()):
                self._logger.error("tokens_unreadable", reason=str(error))
        else:
            self._logger.info("tokens_read", count=len(self.current))


def utc_now() -> str:
    """Return the time as ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def tokens_at_start(path: Path) -> TokenSet:
    """Return the good tokens in a file, none if there is no file; raise CannotStart if it cannot be read."""
    try:
        return TokenSet(_read(path).tokens)
    except (UnreadableTokens, OSError) as error:
        raise CannotStart(f"{path} cannot be read: {error}. Restore it, or remove it") from error


def _read(path: Path) -> TokenFile:
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        return TokenFile()
    if len(data) > MAX_FILE_BYTES:
        raise UnreadableTokens(f"the tokens have more than {MAX_FILE_BYTES} bytes")
    return decode_tokens(data)


def _identity(path: Path) -> object:
    try:
        found = os.stat(path)
    except OSError as error:
        return error.errno
    return found.st_ino, found.st_mtime_ns, found.st_size


def _new_text(taken: set[str]) -> str:
    while True:
        text = token_text(secrets.token_bytes(ID_BYTES), secrets.token_bytes(SECRET_BYTES))
        if id_of(text) not in taken:
            return text
