"""Connections to Redis or Valkey: commands in, replies out, in time. The only file that imports redis.

A connection on which a round trip did not come to its end is dropped, never used again: what still arrives
on it answers somebody else's question. Nothing is tried twice here. No error tells the URL, which may hold a
password, nor what the server wrote.
"""

import asyncio
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from hiredis import pack_command
from redis import connection as blocking
from redis.asyncio import connection as evented
from redis.asyncio.retry import Retry as EventedRetry
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    BusyLoadingError,
    NoPermissionError,
    RedisError,
    ResponseError,
)
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from driftgate.features.errors import StoreUnavailable
from driftgate.features.redis.replies import Command, ErrorReply, Reply


class RedisTimeouts(NamedTuple):
    """How long connecting (TLS and logging in included) and one round trip may take."""

    connect_s: float = 0.2
    round_trip_s: float = 0.05


FILLING_TIMEOUT_S = 10.0
_NO_HELLO = 2
_CODE = re.compile(r"[A-Z]{2,32}")
_REASONS: tuple[tuple[tuple[type[Exception], ...], str], ...] = (
    ((AuthenticationError, AuthorizationError, NoPermissionError), "it refuses our credentials"),
    ((BusyLoadingError,), "it is still loading its data"),
    ((RedisTimeoutError, TimeoutError), "no answer in time"),
)


class RedisConnection:
    """One connection for reading, made when it is needed; one round trip at a time."""

    def __init__(self, url: str, timeouts: RedisTimeouts) -> None:
        """Raise ValueError if `url` is none."""
        self._timeouts = timeouts
        # One deadline for a whole round trip costs a third of socket_timeout, which is one for each read.
        self._pool = _checked_pool(
            evented.ConnectionPool,
            url,
            socket_timeout=None,
            socket_connect_timeout=timeouts.connect_s,
            retry=EventedRetry(NoBackoff(), 0),
        )
        self._connection: evented.AbstractConnection | None = None

    async def round_trip(self, commands: Sequence[Command]) -> list[Reply]:
        """Send the commands at once and return a reply for each; raise StoreUnavailable."""
        try:
            connection = await self._usable()
            async with asyncio.timeout(self._timeouts.round_trip_s):
                await connection.send_packed_command(_packed(commands), check_health=False)
                return [await _reply(connection) for _ in commands]
        except (RedisError, OSError) as error:
            await self.drop()
            raise StoreUnavailable(f"Redis cannot be asked: {_reason(error)}") from None
        except BaseException:
            await self.drop()
            raise

    async def drop(self) -> None:
        """Close the connection, without waiting for the other side."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.disconnect(nowait=True)

    async def _usable(self) -> evented.AbstractConnection:
        """Return a connection that the server has not closed and on which nothing is left to be read."""
        if self._connection is not None and await self._connection.can_read():
            await self.drop()
        if self._connection is None:
            self._connection = self._pool.make_connection()
            async with asyncio.timeout(self._timeouts.connect_s):
                await self._connection.connect()
        return self._connection


class FillingConnection:
    """One connection for whoever fills the store, never on an event loop."""

    def __init__(self, url: str, timeout_s: float = FILLING_TIMEOUT_S) -> None:
        """Raise ValueError if `url` is none."""
        pool = _checked_pool(
            blocking.ConnectionPool,
            url,
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            retry=Retry(NoBackoff(), 0),
        )
        self._connection: Any = pool.make_connection()  # the library does not type its methods

    def round_trip(self, commands: Sequence[Command]) -> list[Reply]:
        """Send the commands at once and return a reply for each; raise StoreUnavailable."""
        try:
            self._connection.send_packed_command(_packed(commands), check_health=False)
            return [self._reply() for _ in commands]
        except (RedisError, OSError) as error:
            self.close()
            raise StoreUnavailable(f"Redis cannot be asked: {_reason(error)}") from None
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the connection; the next round trip makes a new one."""
        self._connection.disconnect()

    def _reply(self) -> Reply:
        try:
            reply: Reply = self._connection.read_response(disable_decoding=True)
        except ResponseError as error:
            return _error_reply(error)
        return reply


def _checked_pool(kind: Any, url: str, **options: Any) -> Any:
    """Return a pool, used for what it reads from the URL only: it makes connections, and keeps none."""
    try:
        pool = kind.from_url(url, protocol=_NO_HELLO, driver_info=None, **options)
        pool.make_connection()
    except (ValueError, TypeError, RedisError):
        raise ValueError(
            "the URL of Redis is not valid; it looks like redis://user:password@host:6379/0, rediss://… for "
            "TLS, or unix:///path/of/socket"
        ) from None
    return pool


def _packed(commands: Sequence[Command]) -> list[bytes]:
    """Return commands as they are sent; the connection's own way takes five times as long."""
    return [pack_command(command) for command in commands]  # type: ignore[arg-type] # typed as a tuple of one


async def _reply(connection: evented.AbstractConnection) -> Reply:
    try:
        reply: Reply = await connection.read_response(disable_decoding=True)
    except ResponseError as error:
        return _error_reply(error)
    return reply


def _error_reply(error: ResponseError) -> ErrorReply:
    code = error.status_code or str(error).partition(" ")[0]  # the library strips the codes that it knows
    return ErrorReply(code if _CODE.fullmatch(code) else "ERR")


def _reason(error: Exception) -> str:
    for kinds, reason in _REASONS:
        if isinstance(error, kinds):
            return reason
    return "the connection failed"
