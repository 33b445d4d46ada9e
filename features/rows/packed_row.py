"""A packed row with its key, as stores and files hold it, and which of several rows of a key counts. Pure."""

from collections.abc import Iterable

from driftgate.features.rows.codec import event_time_of

PackedRow = tuple[bytes, bytes]
"""Canonical key and packed row."""


def newest_by_key(rows: Iterable[PackedRow]) -> list[PackedRow]:
    """Return the rows by key, of each key the one with the newest event time; of equals the first."""
    by_key: dict[bytes, bytes] = {}
    for key, row in rows:
        found = by_key.setdefault(key, row)
        if found is not row and event_time_of(found) < event_time_of(row):
            by_key[key] = row
    return sorted(by_key.items())
