"""What evidence says now (a finding), and what became of telling people about it (an alert). Pure.

The rule kept here: only harm, broken data and missing data are a page. Drift alone is a ticket.
"""

import hashlib
from enum import StrEnum
from typing import NamedTuple

import msgspec

from driftgate.monitoring.alerts.plain_text import plain

MOST_NAME = 200
MOST_TEXT = 1000
MOST_FEATURES = 50
"""Features of a finding that are kept: those that are named first."""


class Severity(StrEnum):
    """PAGE: somebody has to look now. TICKET: somebody has to look on a working day."""

    PAGE = "page"
    TICKET = "ticket"


class Rule(StrEnum):
    """Why there is an alert. BROKEN_DATA is nulls, wrong types, failed requests and their like; UNUSUAL_DATA
    is what is possible and was never there, such as new categories, and one client's mistakes. QUIET is
    missing data at a time of the week that is not known yet. TEST is somebody trying receivers."""

    HARM = "harm"
    BROKEN_DATA = "broken_data"
    NO_DATA = "no_data"
    UNUSUAL_DATA = "unusual_data"
    QUIET = "quiet"
    DRIFT = "drift"
    DEPENDENCE = "dependence"
    TEST = "test"


PAGES = frozenset({Rule.HARM, Rule.BROKEN_DATA, Rule.NO_DATA})


class NamedFeature(msgspec.Struct, frozen=True):
    """A feature that evidence names, strongest first; `what` is the cell that moved, or what is wrong."""

    feature: str
    what: str
    log10_evidence: float

    def __post_init__(self) -> None:
        _make_plain(self, MOST_NAME, "feature", "what")


class Subject(NamedTuple):
    """What a finding is about: while it lasts, there is one alert for it."""

    rule: Rule
    model: str
    version: int
    arm: str
    segment: str


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What evidence says now; producers give it anew with every window for as long as it holds.

    `window_us` is the start of the last window, `onset_us` when it began as far as can be told (0: unknown),
    in Unix microseconds. `text` is for a person, one sentence. An empty `segment` is all rows.
    """

    rule: Rule
    model: str
    version: int
    arm: str = ""
    segment: str = ""
    features: tuple[NamedFeature, ...] = ()
    window_us: int
    onset_us: int = 0
    text: str

    def __post_init__(self) -> None:
        _make_plain(self, MOST_NAME, "model", "arm", "segment")
        _make_plain(self, MOST_TEXT, "text")
        msgspec.structs.force_setattr(self, "features", self.features[:MOST_FEATURES])

    @property
    def severity(self) -> Severity:
        """How soon somebody has to look."""
        return Severity.PAGE if self.rule in PAGES else Severity.TICKET

    @property
    def subject(self) -> Subject:
        """What this is about."""
        return Subject(self.rule, self.model, self.version, self.arm, self.segment)


class State(StrEnum):
    """FIRING: receivers are told. ACKNOWLEDGED: somebody looks at it. SILENCED: receivers are not told."""

    FIRING = "firing"
    ACKNOWLEDGED = "acknowledged"
    SILENCED = "silenced"
    RESOLVED = "resolved"


class Event(StrEnum):
    """What happens to an alert. WORSENED: a page names what it did not name before. GONE: found no more."""

    ACKNOWLEDGED = "acknowledged"
    SILENCED = "silenced"
    SILENCE_OVER = "silence_over"
    WORSENED = "worsened"
    GONE = "gone"


TRANSITIONS = {
    (State.FIRING, Event.ACKNOWLEDGED): State.ACKNOWLEDGED,
    (State.FIRING, Event.SILENCED): State.SILENCED,
    (State.FIRING, Event.GONE): State.RESOLVED,
    (State.ACKNOWLEDGED, Event.WORSENED): State.FIRING,
    (State.ACKNOWLEDGED, Event.GONE): State.RESOLVED,
    (State.SILENCED, Event.ACKNOWLEDGED): State.ACKNOWLEDGED,
    (State.SILENCED, Event.SILENCE_OVER): State.FIRING,
    (State.SILENCED, Event.GONE): State.RESOLVED,
}
"""The state after each event; nothing else can happen to an alert."""


class IllegalTransition(Exception):
    """What was asked of an alert does not fit its state."""


class Notified(msgspec.Struct, frozen=True, array_like=True):
    """A receiver that took a notification, when, and what it said."""

    at_us: int
    receiver: str
    said: State


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """One episode. Times in Unix microseconds: when it was first seen, and when its present state began.

    `finding` is the last one, missing since `missing_us` (0: it is not). `named` is all that findings have
    named so far. `who` acknowledged it, and `why`.
    """

    id: str
    finding: Finding
    first_us: int
    state: State = State.FIRING
    state_us: int
    missing_us: int = 0
    named: frozenset[tuple[str, str]] = frozenset()
    who: str = ""
    why: str = ""
    notified: tuple[Notified, ...] = ()

    @property
    def is_open(self) -> bool:
        """Whether it has not been resolved."""
        return self.state is not State.RESOLVED


def new_alert(finding: Finding, now_us: int) -> Alert:
    """Return the alert that a finding begins. Its id is the same on a replay."""
    words = (*map(str, finding.subject), str(now_us))
    name = hashlib.blake2b("\0".join(words).encode(), digest_size=6).hexdigest()
    return Alert(id=name, finding=finding, first_us=now_us, state_us=now_us, named=named_by(finding))


def moved(alert: Alert, event: Event, now_us: int) -> Alert:
    """Return the alert after an event; raise IllegalTransition where the table has none."""
    state = TRANSITIONS.get((alert.state, event))
    if state is None:
        raise IllegalTransition(f"alert {alert.id} is {alert.state}, it cannot be {event}")
    return msgspec.structs.replace(alert, state=state, state_us=now_us)


def named_by(finding: Finding) -> frozenset[tuple[str, str]]:
    """Return what a finding names: features, for a page with what is wrong with each."""
    paged = finding.severity is Severity.PAGE
    return frozenset((one.feature, one.what if paged else "") for one in finding.features)


def _make_plain(struct: msgspec.Struct, most: int, *names: str) -> None:
    for name in names:
        msgspec.structs.force_setattr(struct, name, plain(getattr(struct, name), most))
