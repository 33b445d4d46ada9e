"""What is answered instead of a number when there are too few rows for one. Pure."""

import msgspec


class NotEnoughData(msgspec.Struct, frozen=True, tag="not_enough_data"):
    """Nothing can be said: there are `rows`, and `needed` would do (None: no number of such rows would)."""

    reason: str
    rows: int
    needed: int | None = None
