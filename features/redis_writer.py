"""Writing rows into Redis in our own layout: a newer event time wins, an older or equal one changes nothing.

Comparing and writing are one step in the server (a script), so that several writers need no lock. What is
damaged there is overwritten.
"""

from collections.abc import Iterator, Sequence

from driftgate.features.errors import StoreFull, StoreUnavailable
from driftgate.features.layout import EVENT_TIME_OFFSET, RowLayout
from driftgate.features.redis_client import FillingConnection
from driftgate.features.redis_replies import Command, ErrorReply, Reply
from driftgate.features.redis_rows import KEY_HASH_BYTES, redis_key, redis_value
from driftgate.features.rows import EntityRows, encode_rows

ROWS_PER_SCRIPT = 256
"""A script keeps the server from answering anyone else; this many rows take it about half a millisecond."""
SCRIPTS_PER_ROUND_TRIP = 16

_TIME_AT = KEY_HASH_BYTES + EVENT_TIME_OFFSET
_SCRIPT = f"""
local written = {{}}
for i, key in ipairs(KEYS) do
  local held = redis.pcall('GET', key)
  local new = ARGV[i]
  if type(held) == 'string' and #held >= {_TIME_AT + 8}
     and held:sub(1, {KEY_HASH_BYTES}) == new:sub(1, {KEY_HASH_BYTES})
     and struct.unpack('<i8', held, {_TIME_AT + 1}) >= struct.unpack('<i8', new, {_TIME_AT + 1}) then
    written[i] = 0
  else
    local done = redis.pcall('SET', key, new)
    if done.err then return redis.error_reply(done.err:match('%u%u+') or 'ERR') end
    written[i] = 1
  end
end
return written
""".encode()


class RedisFeatureWriter:
    """Writes rows of any view; blocks, so never on an event loop."""

    def __init__(self, connection: FillingConnection) -> None:
        self._connection = connection

    def write(self, layout: RowLayout, rows: EntityRows) -> list[bool]:
        """Write rows and tell for each whether it was newer than what was there.

        Rows with the same key are written in their order. Raises InvalidRows before anything is written,
        StoreFull or StoreUnavailable when some may have been: writing them all again is then the way on.
        """
        packed = encode_rows(layout, rows)
        values = [redis_value(layout, key, row) for key, row in zip(rows.keys, packed, strict=True)]
        keys = [redis_key(layout, key) for key in rows.keys]
        written: list[bool] = []
        for commands in _pipelines(keys, values):
            for reply in self._connection.round_trip(commands):
                written += _written(reply)
        return written

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def _pipelines(keys: Sequence[bytes], values: Sequence[bytes]) -> Iterator[list[Command]]:
    per_round_trip = ROWS_PER_SCRIPT * SCRIPTS_PER_ROUND_TRIP
    for start in range(0, len(keys), per_round_trip):
        stop = min(start + per_round_trip, len(keys))
        cuts = [slice(at, min(at + ROWS_PER_SCRIPT, stop)) for at in range(start, stop, ROWS_PER_SCRIPT)]
        yield [_script(keys[cut], values[cut]) for cut in cuts]


def _script(keys: Sequence[bytes], values: Sequence[bytes]) -> Command:
    return (b"EVAL", _SCRIPT, str(len(keys)).encode(), *keys, *values)


def _written(reply: Reply) -> list[bool]:
    if isinstance(reply, list):
        return [flag == 1 for flag in reply]
    code = reply.code if isinstance(reply, ErrorReply) else "an answer of another kind"
    if code == "OOM":
        raise StoreFull("Redis has no memory left for more rows (maxmemory)")
    raise StoreUnavailable(f"Redis refuses to write: {code}")
