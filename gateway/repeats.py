"""Which failures of a loop are worth a line: what fails ten times a second is not said ten times a second."""

REPEAT_S = 60.0
"""How often the same failure is said again, so that whoever looks at the newest lines sees it."""
MOST = 64


class Repeats:
    """Remembers the failures that one loop has said. Times are CLOCK_MONOTONIC in seconds."""

    def __init__(self) -> None:
        self._said_at: dict[str, float] = {}

    def is_news(self, failure: str, now: float) -> bool:
        """Tell whether to say it now: it was not said before, or REPEAT_S ago."""
        said_at = self._said_at.get(failure)
        if said_at is not None and now - said_at < REPEAT_S:
            return False
        if len(self._said_at) >= MOST:
            self._said_at.clear()
        self._said_at[failure] = now
        return True
