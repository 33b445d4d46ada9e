"""Alerts in the monitor: findings and people's requests go into the book, what is new to the receivers.

A disk that is full keeps nobody from being told: what could not be written down is written later.
"""

import sqlite3
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable

import msgspec

from driftgate.gateway.layout import StateLayout
from driftgate.gateway.logs import Logger
from driftgate.gateway.monitor.alert_post import AlertPost
from driftgate.gateway.repeats import Repeats
from driftgate.gateway.state.alert_requests import (
    Acknowledge,
    AlertRequest,
    BeSilent,
    EndSilence,
    read_requests,
)
from driftgate.monitoring.alerts.alert import Alert, Finding, IllegalTransition, State
from driftgate.monitoring.alerts.book import AlertBook, Notification, noted
from driftgate.monitoring.alerts.status import AlertFigure, AlertStatus, SilenceFigure
from driftgate.monitoring.book.alert_tables import AlertChanges
from driftgate.monitoring.book.damage import raise_if_damaged
from driftgate.monitoring.book.monitor_db import MonitorDb

LOOK_EVERY_US = 500_000
TIDY_EVERY_US = 86_400_000_000
KEPT_US = 90 * TIDY_EVERY_US
"""Resolved alerts are kept for so long."""
MOST_ENDED = 200
"""Alerts that are over whose receivers may still have to be told, and are then noted."""


class Alerting:
    """Life of the alerts of one monitor: `step` again and again, then `close`."""

    def __init__(self, db: MonitorDb, layout: StateLayout, post: AlertPost, logger: Logger) -> None:
        self._db = db
        self._requests = layout.alert_requests
        self._post = post
        self._logger = logger
        self._problems = Repeats()
        self._book, self._request = self._opened()
        self._untold = self._book.untold()
        self._unsaved: dict[str, Alert] = {}
        self._ended: dict[str, Alert] = {}
        self._saved = self._book.silences, self._request
        self._looked_at_us = self._tidied_at_us = 0
        self._acknowledged: list[Finding] = []

    def step(self, findings: Callable[[], Iterable[Finding]], now_us: int) -> None:
        """Take in all that evidence says now, and what people asked; tell receivers what is new.

        `findings` is asked if it is time to look again.
        """
        if 0 <= now_us - self._looked_at_us < LOOK_EVERY_US:  # else a clock that steps back would stop it
            return
        self._looked_at_us = now_us
        self._carry_out(now_us)
        self._note_deliveries(now_us)
        step = self._book.step(findings(), now_us)
        self._book = step.book
        for alert in step.changed:
            self._unsaved[alert.id] = alert
            if not alert.is_open:
                self._ended[alert.id] = alert
        for notification in step.notifications:
            self._log(notification)
        self._post.tell((*self._untold, *step.notifications), now_us)
        self._untold = ()
        self._save(now_us)

    def acknowledged(self) -> list[Finding]:
        """Return what has been acknowledged since the last call: detectors of that begin anew."""
        found, self._acknowledged = self._acknowledged, []
        return found

    def status(self, now_us: int) -> AlertStatus:
        """Return how alerts and receivers fare."""
        findings = [(alert.finding, alert.state) for alert in self._book.alerts]
        alerts = Counter((one.model, one.rule, one.severity, state) for one, state in findings)
        silences = defaultdict(list)
        for silence in self._book.silences:
            silences[silence.model].append(silence.until_us)
        return AlertStatus(
            at_us=now_us,
            request=self._request,
            alerts=tuple(AlertFigure(*key, count) for key, count in sorted(alerts.items())),
            silences=tuple(SilenceFigure(it, len(ends), max(ends)) for it, ends in sorted(silences.items())),
            receivers=self._post.figures(),
            unrouted=self._post.unrouted,
            unknown_receivers=self._post.unknown(),
        )

    def close(self) -> None:
        """Stop telling; what was not delivered is told by the next monitor."""
        self._post.close()

    def _opened(self) -> tuple[AlertBook, int]:
        try:
            return self._db.alert_book()
        except (sqlite3.Error, msgspec.MsgspecError) as error:
            self._note(f"alerts and silences that were open are lost: {error}")
            return AlertBook(), 0

    def _carry_out(self, now_us: int) -> None:
        for one in read_requests(self._requests).requests:
            if one.number > self._request:
                self._request = one.number
                try:
                    self._book = self._asked(one.request, now_us)
                except (IllegalTransition, KeyError) as error:
                    self._note(f"a request came too late: {error}")

    def _asked(self, request: AlertRequest, now_us: int) -> AlertBook:
        if isinstance(request, Acknowledge):
            book = self._book.acknowledge(request.alert, request.who, request.why, now_us)
            alert = self._unsaved[request.alert] = book.alert(request.alert)
            self._acknowledged.append(alert.finding)
            return book
        if isinstance(request, BeSilent):
            return self._book.silence(request.silence)
        if isinstance(request, EndSilence):
            return self._book.unsilence(request.silence)
        self._post.try_receivers(request.model, request.who, now_us)
        return self._book

    def _note_deliveries(self, now_us: int) -> None:
        delivered = self._post.delivered(now_us)
        if delivered:
            self._book = self._book.told(delivered)
            self._ended = {it: noted(alert, delivered.get(it, ())) for it, alert in self._ended.items()}
            known = self._ended | {alert.id: alert for alert in self._book.alerts}
            self._unsaved |= {it: known[it] for it in delivered if it in known}
        while len(self._ended) > MOST_ENDED:
            del self._ended[next(iter(self._ended))]

    def _save(self, now_us: int) -> None:
        state = self._book.silences, self._request
        try:
            if self._unsaved or state != self._saved:
                self._db.put_alerts(AlertChanges(tuple(self._unsaved.values()), *state))
                self._unsaved.clear()
                self._saved = state
            if now_us > self._tidied_at_us + TIDY_EVERY_US:
                self._tidied_at_us = now_us
                self._db.forget_alerts(now_us - KEPT_US)
        except sqlite3.Error as error:
            raise_if_damaged(error)
            self._note(f"alerts cannot be written down: {error}")

    def _log(self, notification: Notification) -> None:
        finding = notification.alert.finding
        self._logger.warning(
            "alert_firing" if notification.said is State.FIRING else "alert_resolved",
            alert=notification.alert.id,
            model=finding.model,
            version=finding.version,
            reason=f"{finding.severity}, {finding.rule.replace('_', ' ')}: {finding.text}",
        )

    def _note(self, text: str) -> None:
        if self._problems.is_news(text, time.monotonic()):
            self._logger.error("alerts_problem", reason=text)
