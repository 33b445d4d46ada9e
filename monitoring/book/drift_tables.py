"""The table of `monitor.db` with the evidence after each window. Whoever calls this holds the connection."""

import sqlite3
import zlib
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import NamedTuple

import numpy as np

from driftgate.monitoring.log.record import Array
from driftgate.monitoring.windows.pane import Pane, PaneKey
from driftgate.monitoring.windows.pane_codec import decode_pane

SCHEMA = """
CREATE TABLE evidence (
    model TEXT, start_us INTEGER, version INTEGER, arm TEXT, segment TEXT, profile TEXT, data BLOB,
    PRIMARY KEY (model, start_us, version, arm, segment, profile)
) WITHOUT ROWID;
"""
POSITION = "drift/position"
"""The saved state that says up to when all others go."""


class StoredEvidence(NamedTuple):
    """Logarithms (base 10) of the evidence of a stream's features after a window, NaN: unknown; float32."""

    key: PaneKey
    log10: Array


def encode_evidence(features: Array) -> bytes:
    """Return the bytes of evidence, float64[features], NaN where it is not known."""
    with np.errstate(divide="ignore"):
        found = np.log10(np.maximum(features, 1e-30)).astype("<f4")
    return zlib.compress(found.tobytes(), 1)


def put_evidence(db: sqlite3.Connection, evidence: Mapping[PaneKey, bytes]) -> None:
    """Write evidence after windows, in place of what is there of them."""
    db.executemany(
        "INSERT OR REPLACE INTO evidence VALUES (?, ?, ?, ?, ?, ?, ?)",
        [
            (key.model, key.start_us, key.version, key.arm, key.segment, key.profile, data)
            for key, data in evidence.items()
        ],
    )


def evidence_between(
    db: sqlite3.Connection, model: str, segment: str, between: tuple[int, int], step_us: int
) -> list[StoredEvidence]:
    """Return the evidence after a segment's windows that began in [first, end) of `between`, by start.

    Of the windows of a stream that began in the same `step_us` it is the last one's.
    """
    query = (
        "SELECT model, version, arm, segment, profile, max(start_us), data FROM evidence"
        " WHERE model = ? AND start_us >= ? AND start_us < ? AND segment = ?"
        " GROUP BY version, arm, profile, start_us / ? ORDER BY max(start_us)"
    )
    with closing(db.execute(query, (model, *between, segment, step_us))) as cursor:
        return [
            StoredEvidence(PaneKey(*row[:6]), np.frombuffer(zlib.decompress(row[6]), "<f4")) for row in cursor
        ]


def forget_evidence(db: sqlite3.Connection, before_us: int) -> None:
    """Delete evidence after windows that began before a time, and states that were given up."""
    db.execute("DELETE FROM evidence WHERE start_us < ?", (before_us,))
    db.execute("DELETE FROM detectors WHERE length(data) = 0")


def sealed_panes(db: sqlite3.Connection, first_us: int) -> Iterator[tuple[PaneKey, Pane]]:
    """Yield the sealed panes of the book that began at a time or later, by start."""
    query = (
        "SELECT model, version, arm, segment, profile, start_us, data FROM panes JOIN series ON series = id"
        " WHERE sealed AND start_us >= ? ORDER BY start_us"
    )
    with closing(db.execute(query, (first_us,))) as cursor:
        for row in cursor:
            yield PaneKey(*row[:6]), decode_pane(row[6])
