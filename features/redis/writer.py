"""Writing rows into Redis in our own layout: a newer event time wins, an older or equal one changes nothing.

Comparing and writing are one step in the server (a script), so that several writers need no lock. What is
damaged there is overwritten.
"""

from collections.abc import Iterator, Sequence

from driftgate.features.errors import StoreFull, StoreUnavailable
from driftgate.features.redis.client import FillingConnection
from driftgate.features.redis.replies import Command, ErrorReply, Reply
from driftgate.features.redis.rows import KEY_HASH_BYTES, redis_key, redis_value
from driftgate.features.rows.codec import FUTURE_ALLOWANCE_US, event_time_of
from driftgate.features.rows.layout import EVENT_TIME_OFFSET
from driftgate.features.rows.packed_row import PackedRow
from driftgate.features.rows.push_outcome import PushOutcome

ROWS_PER_SCRIPT = 256
"""A script keeps the server from answering anyone else; this many rows take it about half a millisecond."""
SCRIPTS_PER_ROUND_TRIP = 16

_SCHEMA_ID_BYTES = 8
_TIME_AT = KEY_HASH_BYTES + EVENT_TIME_OFFSET
_SCRIPT = f"""
local outcomes = {{}}
for i, key in ipairs(KEYS) do
  local held, new = redis.pcall('GET', key), ARGV[i]
  local held_time
  if type(held) == 'string' and #held >= {_TIME_AT + 8}
     and held:sub(1, {KEY_HASH_BYTES}) == new:sub(1, {KEY_HASH_BYTES}) then
    held_time = struct.unpack('<i8', held, {_TIME_AT + 1})
  end
  local new_time = struct.unpack('<i8', new, {_TIME_AT + 1})
  if held_time and held_time >= new_time then
    outcomes[i] = held_time > new_time and {PushOutcome.OLDER:d} or {PushOutcome.SAME:d}
  else
    local done = redis.pcall('SET', key, new)
    if done.err then return {{err = (done.err:match('%u%u+') or 'ERR') .. ' refused'}} end
    outcomes[i] = {PushOutcome.WRITTEN:d}
  end
end
return outcomes
""".encode()


class RedisFeatureWriter:
    """Writes rows of any view; blocks, so never on an event loop."""

    def __init__(self, connection: FillingConnection) -> None:
        self._connection = connection

    def push(self, view: str, rows: Sequence[PackedRow], now_us: int) -> list[PushOutcome]:
        """Write rows and return what became of each; what is WRITTEN is in the server's memory by then.

        Of rows for one key the newest stays, whatever their order, and pushing again changes nothing. Raises
        StoreFull and StoreUnavailable; then some may have been written.
        """
        newest_us = now_us + FUTURE_ALLOWANCE_US
        timely = [(key, row) for key, row in rows if event_time_of(row) <= newest_us]
        places = [redis_key(view, _schema_id(row), key) for key, row in timely]
        values = [redis_value(place, row) for place, (_, row) in zip(places, timely, strict=True)]
        outcomes: list[PushOutcome] = []
        for commands in _pipelines(places, values):
            for reply in self._connection.round_trip(commands):
                outcomes += _outcomes(reply)
        told = iter(outcomes)
        return [next(told) if event_time_of(row) <= newest_us else PushOutcome.FUTURE for _, row in rows]

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def _schema_id(row: bytes) -> int:
    return int.from_bytes(row[:_SCHEMA_ID_BYTES], "little")


def _pipelines(keys: Sequence[bytes], values: Sequence[bytes]) -> Iterator[list[Command]]:
    per_round_trip = ROWS_PER_SCRIPT * SCRIPTS_PER_ROUND_TRIP
    for start in range(0, len(keys), per_round_trip):
        stop = min(start + per_round_trip, len(keys))
        cuts = [slice(at, min(at + ROWS_PER_SCRIPT, stop)) for at in range(start, stop, ROWS_PER_SCRIPT)]
        yield [_script(keys[cut], values[cut]) for cut in cuts]


def _script(keys: Sequence[bytes], values: Sequence[bytes]) -> Command:
    return (b"EVAL", _SCRIPT, str(len(keys)).encode(), *keys, *values)


def _outcomes(reply: Reply) -> list[PushOutcome]:
    if isinstance(reply, list):
        return [PushOutcome(outcome) for outcome in reply]
    if isinstance(reply, ErrorReply) and reply.code == "OOM":
        raise StoreFull("Redis has no memory left for more rows (maxmemory)")
    why = reply if isinstance(reply, ErrorReply) else "an answer of another kind"
    raise StoreUnavailable(f"Redis refuses to write: {why}")
