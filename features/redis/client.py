"""Connections to Redis or Valkey: commands in, replies out, in time. The only file that imports redis.

A connection on which a round trip did not come to its end is dropped, never used again: what still arrives
on it answers somebody else's question. Nothing is tried twice here. No error tells the URL, which may hold a
password, nor what the server wrote.
"""

import asyncio
import re
import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar

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
from driftgate.features.redis.address import RedisAddress
from driftgate.features.redis.hello import HELLO, Greeting, greeting_of
from driftgate.features.redis.replies import Command, ErrorReply, Reply


class RedisTimeouts(NamedTuple):
    """How long connecting (TLS and logging in included) and one round trip may take."""

    connect_s: float = 0.2
    round_trip_s: float = 0.05


FILLING_TIMEOUT_S = 10.0
ConnectionT = TypeVar("ConnectionT")
_NO_HELLO = 2
_CODE = re.compile(r"[A-Z]{2,32}")
_REASONS: tuple[tuple[tuple[type[Exception], ...], str], ...] = (
    ((AuthenticationError, AuthorizationError, NoPermissionError), "it refuses our credentials"),
    ((BusyLoadingError,), "it is still loading its data"),
    # of what is sent when connecting only this is left
    ((ResponseError,), "it has no database of that number"),
    ((ssl.SSLError,), "TLS fails: it may not speak it, or its certificate is not trusted"),
    ((RedisTimeoutError, TimeoutError), "no answer in time"),
)


class RedisConnection:
    """One connection for reading, made when it is needed; one round trip at a time."""

    def __init__(self, address: RedisAddress, timeouts: RedisTimeouts) -> None:
        """Raise ValueError if `address` is none."""
        self._address = address
        self._timeouts = timeouts
        self._connection: evented.AbstractConnection | None = None
        self._make()

    async def round_trip(self, commands: Sequence[Command]) -> list[Reply]:
        """Send the commands at once and return a reply for each; raise StoreUnavailable."""
        try:
            connection = await self._usable()
            async with asyncio.timeout(self._timeouts.round_trip_s):
                await connection.send_packed_command(_packed(commands), check_health=False)
                return [await _reply(connection) for _ in commands]
        except (RedisError, OSError) as error:
            await self.drop()
            raise _unavailable(error) from None
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
            self._connection = _made(self._make)
            async with asyncio.timeout(self._timeouts.connect_s):
                await self._connection.connect()  # type: ignore[no-untyped-call] # the library's
                await self._connection.send_packed_command(_packed([HELLO]), check_health=False)
                _check(greeting_of(await _reply(self._connection)))
        return self._connection

    def _make(self) -> evented.AbstractConnection:
        # One deadline for a whole round trip costs a third of socket_timeout, which is one for each read.
        connection: evented.AbstractConnection = _connection(
            evented.ConnectionPool,
            self._address,
            socket_timeout=None,
            socket_connect_timeout=self._timeouts.connect_s,
            retry=EventedRetry(NoBackoff(), 0),
        )
        return connection


class FillingConnection:
    """One connection for whoever fills the store, never on an event loop."""

    def __init__(self, address: RedisAddress, timeout_s: float = FILLING_TIMEOUT_S) -> None:
        """Raise ValueError if `address` is none."""
        self._address = address
        self._timeout_s = timeout_s
        self._connection: Any = None  # the library does not type its methods
        self._make()

    def greeting(self) -> Greeting:
        """Connect anew and return what the server says of itself; raise StoreUnavailable."""
        self.close()
        with self._closed_on_failure():
            return self._connect()

    def round_trip(self, commands: Sequence[Command]) -> list[Reply]:
        """Send the commands at once and return a reply for each; raise StoreUnavailable."""
        with self._closed_on_failure():
            if self._connection is not None and self._is_spent():
                self.close()
            if self._connection is None:
                _check(self._connect())
            return self._replies(commands)

    def close(self) -> None:
        """Close the connection; the next round trip makes a new one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.disconnect()

    def _is_spent(self) -> bool:
        """Tell whether the server has closed the connection, or something unexpected is waiting on it."""
        try:
            return bool(self._connection.can_read(timeout=0))
        except RedisError:
            return True

    def _connect(self) -> Greeting:
        self._connection = _made(self._make)
        self._connection.connect()
        return greeting_of(self._replies([HELLO])[0])

    def _make(self) -> Any:
        return _connection(
            blocking.ConnectionPool,
            self._address,
            socket_timeout=self._timeout_s,
            socket_connect_timeout=self._timeout_s,
            retry=Retry(NoBackoff(), 0),
        )

    @contextmanager
    def _closed_on_failure(self) -> Iterator[None]:
        try:
            yield
        except (RedisError, OSError) as error:
            self.close()
            raise _unavailable(error) from None
        except BaseException:
            self.close()
            raise

    def _replies(self, commands: Sequence[Command]) -> list[Reply]:
        self._connection.send_packed_command(_packed(commands), check_health=False)
        return [self._reply() for _ in commands]

    def _reply(self) -> Reply:
        try:
            reply: Reply = self._connection.read_response(disable_decoding=True)
        except ResponseError as error:
            return _error_reply(error)
        return reply


def _connection(kind: Any, address: RedisAddress, **options: Any) -> Any:
    """Return a connection that is not connected; the pool is used for what it reads from the URL only."""
    url = address.with_password()
    try:
        return kind.from_url(url, protocol=_NO_HELLO, driver_info=None, **options).make_connection()
    except (ValueError, TypeError, RedisError):
        raise ValueError("the URL of Redis is not valid") from None


def _made(make: Callable[[], ConnectionT]) -> ConnectionT:
    """Return a connection; its address was sound once, but the file with the password may be gone."""
    try:
        return make()
    except ValueError as error:
        raise StoreUnavailable(f"Redis cannot be asked: {error}") from None


def _check(greeting: Greeting) -> None:
    if greeting.refusal:
        raise StoreUnavailable(f"Redis cannot be asked: {greeting.refusal}")


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


def _unavailable(error: Exception) -> StoreUnavailable:
    return StoreUnavailable(f"Redis cannot be asked: {_reason(error)}")


def _reason(error: Exception) -> str:
    beneath = error.__cause__ or error.__context__  # the library wraps what goes wrong while connecting
    for kinds, reason in _REASONS:
        if isinstance(error, kinds) or isinstance(beneath, kinds):
            return reason
    return "the connection failed"
