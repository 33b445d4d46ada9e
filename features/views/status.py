"""What is known about one feature of one entity at the time of a prediction."""

import enum


class FeatureStatus(enum.IntEnum):
    """Why a feature has the value that the model gets. The numbers are written to logs and never change.

    FRESH: stored, within the view's TTL. STALE: stored, older than the TTL. NULL: written as null.
    MISSING: never written, or not usable (damaged, from the future, NaN). DEFAULTED: stale, null or missing,
    and the declared default took its place. TIMEOUT: the store did not answer in time; the default took its
    place where one is declared. SENT: the request carried the value itself, in place of what is stored.
    """

    FRESH = 0
    STALE = 1
    NULL = 2
    MISSING = 3
    DEFAULTED = 4
    TIMEOUT = 5
    SENT = 6


class Fault(enum.StrEnum):
    """Why something stored could not be used, or was not had."""

    CORRUPT = "corrupt"
    WRONG_SCHEMA = "wrong_schema"
    FUTURE = "future_event_time"
    NAN = "nan"
    TIMEOUT = "timeout"
