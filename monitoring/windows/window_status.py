"""What the monitor says of its windows; apart from it, so that who reads this need not import numpy."""

import msgspec


class QualityFigure(msgspec.Struct, frozen=True, array_like=True):
    """One rate of a window that is not 0, or that there is evidence about.

    Of "no_traffic" `hits` are the windows on end, up to the last, in which an arm had no rows.
    """

    reason: str
    feature: str
    hits: int
    rows: int
    log10_evidence: float


class WindowFigures(msgspec.Struct, frozen=True):
    """The last sealed window of a version's arm, and what led up to it. Times are in Unix microseconds.

    `source` ("training", "traffic" or "none"), `reference_rows` and `reference_id` are of the reference.
    """

    model: str
    version: int
    arm: str
    start_us: int
    rows: int
    source: str
    reference_rows: int
    reference_id: str
    quality: tuple[QualityFigure, ...] = ()


class WindowStatus(msgspec.Struct, frozen=True):
    """All arms of all models, and how the windows fare."""

    at_us: int = 0
    sealed_us: int = 0
    open_panes: int = 0
    unsaved_panes: int = 0
    late_rows: int = 0
    lost_rows: int = 0
    figures: tuple[WindowFigures, ...] = ()
