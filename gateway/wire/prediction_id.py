"""Prediction ids: UUIDs of version 7 (RFC 9562), so that ids made later sort later.

One generator belongs to one process: a copy taken through `fork` would repeat its ids.
"""

import os
import random

_VERSION_7 = 0x7000
_VARIANT = 0x8 << 60
_START_BITS = 60
"""Random bits that a millisecond begins with; below the variant there is room to count 2**61 ids more."""


class PredictionIds:
    """Makes ids that grow within a process and are unique across processes.

    Every millisecond begins at a random place (72 random bits) and counts up from there. The randomness keeps
    ids apart; it hides nothing, so it need not be cryptographic. Only its seed comes from the system.
    """

    __slots__ = ("_counter", "_ms", "_prefix", "_random")

    def __init__(self, seed: bytes | None = None) -> None:
        self._random = random.Random(os.urandom(32) if seed is None else seed)  # noqa: S311 - see above
        self._ms = -1
        self._prefix = ""
        self._counter = 0

    def new(self, now_ms: int) -> str:
        """Return the next id. A clock that stands still or goes back does not make ids go back."""
        if now_ms > self._ms:
            self._begin(now_ms)
        self._counter += 1
        low = f"{self._counter:x}"
        return f"{self._prefix}{low[:4]}-{low[4:]}"

    def _begin(self, now_ms: int) -> None:
        self._ms = now_ms
        stamp = f"{now_ms & 0xFFFF_FFFF_FFFF:012x}"
        version = _VERSION_7 | self._random.getrandbits(12)
        self._prefix = f"{stamp[:8]}-{stamp[8:]}-{version:04x}-"
        self._counter = _VARIANT | self._random.getrandbits(_START_BITS)
