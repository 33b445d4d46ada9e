"""What became of a pushed row, whatever the store."""

import enum


class PushOutcome(enum.IntEnum):
    """What became of one pushed row; all but FUTURE mean that the sender has nothing more to do.

    WRITTEN: it is on the disk. OLDER: a newer one is there. SAME: one with this event time is there.
    FUTURE: its event time is more than a minute ahead of this machine's clock; it was not written.
    """

    WRITTEN = 0
    OLDER = 1
    SAME = 2
    FUTURE = 3
