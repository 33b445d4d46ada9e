"""What the monitor says of itself; apart from it, so that who reads this need not import Parquet."""

import msgspec


class FollowerStatus(msgspec.Struct, frozen=True):
    """How the monitor fares. Totals are over all its lives.

    `lag_s` is how long ago the time was up to which everything has been read; `rows_per_s` is the rate of
    the last seconds. `late_rows` came after the watermark had passed them. `unwritten_s` is for how long
    archive or book could not be written, 0 while they can.
    """

    at_us: int = 0
    watermark_us: int = 0
    lag_s: float = 0.0
    backlog_bytes: int = 0
    rows_per_s: float = 0.0
    rows: int = 0
    late_rows: int = 0
    lost_frames: int = 0
    damaged_bytes: int = 0
    unarchived_rows: int = 0
    archive_failures: int = 0
    unwritten_s: float = 0.0
    rebuilds: int = 0
    archive_files: int = 0
    archive_bytes: int = 0
