"""What is recorded and what happens when it cannot be: frozen values, handed to the log's writer."""

from typing import Annotated, Literal

import msgspec

Positive = Annotated[int, msgspec.Meta(ge=1)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Mode = Literal["async", "written", "fsync"]
WhenFull = Literal["drop", "refuse"]


class ModelLogPolicy(msgspec.Struct, frozen=True):
    """What of one model's predictions is kept.

    `sample` is the share of requests whose inputs and outputs are kept; the others are recorded without them.
    Columns in `drop` are left out, those in `hash` become keyed hashes. A text longer than `max_text_bytes`
    is cut and marked; a tensor of more than `max_row_bytes` per row is left out, named in the block.
    """

    sample: Share = 1.0
    drop: frozenset[str] = frozenset()
    hash: frozenset[str] = frozenset()
    max_text_bytes: Positive = 1024
    max_row_bytes: Positive = 65_536


class LogPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """How one slot's log is written.

    `mode` says what an answer waits for: nothing ("async"), its write ("written") or the disk ("fsync").
    `when_full` says what happens when the buffer, the quota or the disk is full: "drop" loses records and
    counts them, "refuse" refuses requests. `key` is the secret of the keyed hashes.
    """

    key: bytes
    mode: Mode = "async"
    when_full: WhenFull = "drop"
    quota_bytes: Positive = 8 * 2**30
    segment_bytes: Positive = 64 * 2**20
    segment_age_s: float = 3600.0
    buffer_rows: Positive = 200_000
    buffer_bytes: Positive = 256 * 2**20
    flush_every_s: float = 0.05
    """Half of the 100 ms within which everything is written, so that a slow flush still keeps it."""
    mark_every_s: float = 0.5
