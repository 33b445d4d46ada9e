"""What receivers are sent: one JSON document about one or more alerts. Pure.

Names in it are stable. Nothing in it can end a line or begin a tag, whatever clients sent.
"""

import hashlib
from collections.abc import Sequence

import msgspec

from driftgate.monitoring.alerts.alert import NamedFeature, Rule, Severity, State
from driftgate.monitoring.alerts.book import Notification
from driftgate.monitoring.alerts.plain_text import plain

FORMAT = 1
MOST_ALERTS = 50
"""In one document."""
_MOST_FEATURES = 10
_MOST_SUMMARY = 2000
_TAGS = {ord(sign): f"\\u{ord(sign):04x}" for sign in "<>&"}


class ToldAlert(msgspec.Struct, frozen=True):
    """One alert. Times in Unix microseconds; `onset_us` is 0 where it cannot be told."""

    id: str
    said: State
    severity: Severity
    rule: Rule
    model: str
    version: int
    arm: str
    segment: str
    owner: str
    text: str
    features: tuple[NamedFeature, ...]
    first_us: int
    window_us: int
    onset_us: int


class NotificationDocument(msgspec.Struct, frozen=True):
    """All alerts that changed together; `text` says it in words, for chats. `delivery` is for who counts."""

    format: int
    delivery: str
    at_us: int
    text: str
    alerts: tuple[ToldAlert, ...]


def notification_document(
    notifications: Sequence[Notification], owners: Sequence[str], now_us: int
) -> NotificationDocument:
    """Return the document about some alerts, whose models belong to `owners`, in the same order.

    The same states of the same alerts have the same `delivery`, after a restart too.
    """
    alerts = tuple(_told(one, owner) for one, owner in zip(notifications, owners, strict=True))
    states = "".join(f"{one.alert.id}{one.said}{one.alert.state_us}" for one in notifications)
    delivery = hashlib.blake2b(states.encode(), digest_size=8).hexdigest()
    text = plain(" | ".join(map(_sentence, alerts)), _MOST_SUMMARY)
    return NotificationDocument(FORMAT, delivery, now_us, text, alerts)


def encode_notification(document: NotificationDocument) -> bytes:
    """Return the bytes of a document; signs that begin HTML tags or entities are escaped."""
    return msgspec.json.encode(document).decode().translate(_TAGS).encode()


def _told(notification: Notification, owner: str) -> ToldAlert:
    alert, finding = notification.alert, notification.alert.finding
    return ToldAlert(
        id=alert.id,
        said=notification.said,
        severity=finding.severity,
        rule=finding.rule,
        model=finding.model,
        version=finding.version,
        arm=finding.arm,
        segment=finding.segment,
        owner=plain(owner, _MOST_SUMMARY),
        text=finding.text,
        features=finding.features[:_MOST_FEATURES],
        first_us=alert.first_us,
        window_us=finding.window_us,
        onset_us=finding.onset_us,
    )


def _sentence(one: ToldAlert) -> str:
    version = f"@{one.version}" if one.version else ""
    return f"{one.severity} {one.said}: {one.model}{version} {one.rule.replace('_', ' ')}: {one.text}"
