"""Which rows of a snapshot were pushed: compaction took them over, and no load has replaced them.

Beside the rows of such a snapshot stands, by key, the event time (i64, little-endian) of the row that was
pushed. Once the row has another event time, a loaded one has taken its place.
"""

from collections.abc import Iterator, Sequence

from driftgate.features.embedded.lmdb_file import ImmutableRows
from driftgate.features.rows.codec import event_time_of
from driftgate.features.rows.layout import EVENT_TIME_OFFSET
from driftgate.features.rows.packed_row import PackedRow

_CHUNK = 50_000


def times_by_key(rows: Sequence[PackedRow]) -> list[tuple[bytes, bytes]]:
    """Return what stands beside rows that were pushed."""
    return [(key, row[EVENT_TIME_OFFSET : EVENT_TIME_OFFSET + 8]) for key, row in rows]


def pushed_rows_of(snapshot: ImmutableRows) -> Iterator[list[PackedRow]]:
    """Yield the rows of a snapshot that were pushed, in chunks, by key."""
    after = b""
    while noted := snapshot.items_beside(after, _CHUNK):
        after = noted[-1][0]
        rows = zip(noted, snapshot.get_many([key for key, _ in noted]), strict=True)
        yield [
            (key, row)
            for (key, time), row in rows
            if row is not None and event_time_of(row) == int.from_bytes(time, "little", signed=True)
        ]
