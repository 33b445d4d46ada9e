"""All open alerts and silences: findings and requests in, a new book and what to tell receivers out. Pure.

The rules kept here: one alert per subject while it lasts; receivers are told once; who is silenced is still
recorded; an alert ends only after its finding has been gone for a while.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from driftgate.monitoring.alerts.alert import (
    Alert,
    Event,
    Finding,
    Notified,
    Rule,
    Severity,
    State,
    Subject,
    moved,
    named_by,
    new_alert,
)

RESOLVE_AFTER_US = 15 * 60_000_000
"""A finding that comes and goes within this is one alert."""
SILENCE_S = 4 * 3600
LONGEST_SILENCE_S = 30 * 86_400
MOST_NOTIFIED = 20
MOST_SILENCES = 1000
"""Of all models together."""


class Silence(msgspec.Struct, frozen=True, kw_only=True):
    """Nobody is told of a model's alerts until then. `rule` and `version` narrow it (0: any version)."""

    id: str
    model: str
    rule: Rule | None = None
    version: int = 0
    who: str
    why: str
    since_us: int
    until_us: int

    def covers(self, finding: Finding) -> bool:
        """Tell whether a finding is about what is silenced."""
        return (
            finding.model == self.model
            and self.rule in (None, finding.rule)
            and self.version in (0, finding.version)
        )


class Notification(NamedTuple):
    """What receivers of an alert's model and severity are to be told: what became of it."""

    alert: Alert
    said: State

    def was_heard_by(self, receiver: str) -> bool:
        """Tell whether a receiver took it already."""
        return any(
            one.receiver == receiver and one.said is self.said and one.at_us >= self.alert.state_us
            for one in self.alert.notified
        )


class Step(NamedTuple):
    """A new book, the alerts that differ from those of the old one (resolved ones too), and what to tell."""

    book: "AlertBook"
    changed: tuple[Alert, ...]
    notifications: tuple[Notification, ...]


class AlertBook(msgspec.Struct, frozen=True):
    """Open alerts, and silences that are not over."""

    alerts: tuple[Alert, ...] = ()
    silences: tuple[Silence, ...] = ()

    def step(self, findings: Iterable[Finding], now_us: int) -> Step:
        """Take in all that evidence says now; what is left out is found no more."""
        found = {finding.subject: finding for finding in findings}
        silences = tuple(one for one in self.silences if one.until_us > now_us)
        known = {alert.finding.subject: alert for alert in self.alerts}
        later = [_seen(known[it], found.get(it), now_us) for it in known]
        later += [new_alert(finding, now_us) for it, finding in found.items() if it not in known]
        return _step(known, [_hushed(alert, silences, now_us) for alert in later], silences)

    def acknowledge(self, alert_id: str, who: str, why: str, now_us: int) -> "AlertBook":
        """Return the book once somebody looks at an alert; raise IllegalTransition, or KeyError."""
        alert = replace(moved(self.alert(alert_id), Event.ACKNOWLEDGED, now_us), who=who, why=why)
        return replace(self, alerts=tuple(alert if it.id == alert_id else it for it in self.alerts))

    def silence(self, silence: Silence) -> "AlertBook":
        """Return the book with one more silence, or with another one of the same id."""
        return replace(self, silences=(*self.unsilence(silence.id).silences, silence))

    def unsilence(self, silence_id: str) -> "AlertBook":
        """Return the book without a silence; what it kept quiet fires at the next step."""
        return replace(self, silences=tuple(one for one in self.silences if one.id != silence_id))

    def untold(self) -> tuple[Notification, ...]:
        """Return what fires, for receivers that have not heard of it before a restart."""
        firing = (alert for alert in self.alerts if alert.state is State.FIRING)
        return tuple(Notification(alert, alert.state) for alert in firing)

    def told(self, notified: Mapping[str, Sequence[Notified]]) -> "AlertBook":
        """Return the book once receivers took notifications, by alert; resolved ones are not in it."""
        return replace(self, alerts=tuple(noted(it, notified.get(it.id, ())) for it in self.alerts))

    def alert(self, alert_id: str) -> Alert:
        """Return an open alert; raise KeyError."""
        found = next((alert for alert in self.alerts if alert.id == alert_id), None)
        if found is None:
            raise KeyError(alert_id)
        return found


def noted(alert: Alert, notified: Sequence[Notified]) -> Alert:
    """Return the alert with more receivers that were told, the last ones only."""
    return replace(alert, notified=(*alert.notified, *notified)[-MOST_NOTIFIED:]) if notified else alert


def _step(before: Mapping[Subject, Alert], after: list[Alert], silences: tuple[Silence, ...]) -> Step:
    changed = tuple(alert for alert in after if before.get(alert.finding.subject) != alert)
    told = tuple(
        Notification(alert, alert.state)
        for alert in changed
        if _is_news(before.get(alert.finding.subject), alert)
    )
    book = AlertBook(tuple(alert for alert in after if alert.is_open), silences)
    return Step(book, changed, told)


def _seen(alert: Alert, finding: Finding | None, now_us: int) -> Alert:
    if finding is None:
        missing = replace(alert, missing_us=alert.missing_us or now_us)
        gone = now_us - missing.missing_us >= RESOLVE_AFTER_US
        return moved(missing, Event.GONE, now_us) if gone else missing
    news = named_by(finding) - alert.named
    later = replace(alert, finding=finding, missing_us=0, named=alert.named | news)
    worse = news and finding.severity is Severity.PAGE and alert.state is State.ACKNOWLEDGED
    return moved(later, Event.WORSENED, now_us) if worse else later


def _hushed(alert: Alert, silences: tuple[Silence, ...], now_us: int) -> Alert:
    silenced = any(silence.covers(alert.finding) for silence in silences)
    if alert.state is State.FIRING and silenced:
        return moved(alert, Event.SILENCED, now_us)
    if alert.state is State.SILENCED and not silenced:
        return moved(alert, Event.SILENCE_OVER, now_us)
    return alert


def _is_news(before: Alert | None, after: Alert) -> bool:
    """Receivers hear that something fires, and that it is over unless it was silenced all the time."""
    was = before.state if before is not None else None
    if after.state is State.FIRING:
        return was is not State.FIRING
    return after.state is State.RESOLVED and (was is not State.SILENCED or bool(after.notified))
