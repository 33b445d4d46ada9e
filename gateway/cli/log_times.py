"""Times as people type them: `15m`, `2h`, `7d` before now, or ISO 8601. Pure."""

import re
from datetime import UTC, datetime

_AGO = re.compile(r"(\d{1,9})([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def parse_time_us(text: str, now_us: int) -> int:
    """Return a time in Unix microseconds; one without an offset is UTC. Raises ValueError."""
    ago = _AGO.fullmatch(text)
    if ago:
        return now_us - int(ago[1]) * _SECONDS[ago[2]] * 1_000_000
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is no time; write 15m, 2h, 7d or 2026-01-31T08:00") from None
    return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1_000_000)
