"""From notifications to receivers: who is told, in which documents, and what has been delivered."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from driftgate.gateway.monitor.alert_routes import receivers_of, unknown_receivers
from driftgate.gateway.monitor.notifier import Notifier, Parcel, Told
from driftgate.gateway.settings import AlertSettings, ReceiverSettings
from driftgate.models.registry.settings import ModelSettings
from driftgate.monitoring.alerts.alert import Finding, Notified, Rule, Severity, State, new_alert
from driftgate.monitoring.alerts.book import Notification
from driftgate.monitoring.alerts.command_receiver import Command
from driftgate.monitoring.alerts.delivery import Receiver
from driftgate.monitoring.alerts.notification import MOST_ALERTS, encode_notification, notification_document
from driftgate.monitoring.alerts.status import ReceiverFigure
from driftgate.monitoring.alerts.webhook import Webhook

STOP_S = 1.0
Models = Callable[[], Mapping[str, ModelSettings]]


class AlertPost:
    """The post office of one monitor. `unrouted` counts notifications for which there was no receiver."""

    def __init__(self, settings: AlertSettings, models: Models, note: Callable[[str], None]) -> None:
        self._settings = settings
        self._models = models
        self._notifier = Notifier({name: receiver_of(it) for name, it in settings.receivers.items()}, note)
        self._notifier.start()
        self._note = note
        self._unknown: set[str] = set()
        self.unrouted = 0

    def tell(self, notifications: Iterable[Notification], now_us: int) -> None:
        """Send each receiver what concerns it, together."""
        models = self._models()
        by_receiver: dict[str, list[Notification]] = {}
        for one in notifications:
            finding = one.alert.finding
            model = models.get(finding.model, ModelSettings())
            receivers = receivers_of(self._settings, finding.model, model, finding.severity)
            self.unrouted += not receivers
            for receiver in (it for it in receivers if not one.was_heard_by(it)):
                by_receiver.setdefault(receiver, []).append(one)
        for receiver, told in by_receiver.items():
            for first in range(0, len(told), MOST_ALERTS):
                self._send(receiver, told[first : first + MOST_ALERTS], now_us)

    def try_receivers(self, name: str, who: str, now_us: int) -> None:
        """Tell every receiver of a model's alerts that this is a test."""
        text = f"{who} tries the receivers of {name}: nothing is wrong"
        finding = Finding(rule=Rule.TEST, model=name, version=0, window_us=now_us, text=text)
        test = Notification(new_alert(finding, now_us), State.FIRING)
        model = self._models().get(name, ModelSettings())
        told = {it for one in Severity for it in receivers_of(self._settings, name, model, one)}
        for receiver in sorted(told):
            self._send(receiver, [test], now_us)

    def unknown(self) -> tuple[str, ...]:
        """Return the receivers that settings of models name and that there are not; said once each."""
        found = {it for model in self._models().values() for it in unknown_receivers(self._settings, model)}
        for name in sorted(found - self._unknown):
            self._note(f"a model.toml names the receiver {name!r}; driftgate.toml has none of that name")
        self._unknown = found
        return tuple(sorted(found))

    def delivered(self, now_us: int) -> dict[str, list[Notified]]:
        """Return who was told since the last call, by alert."""
        found: dict[str, list[Notified]] = {}
        for parcel in self._notifier.delivered():
            for told in parcel.told:
                found.setdefault(told.alert, []).append(Notified(now_us, parcel.receiver, told.said))
        return found

    def figures(self) -> tuple[ReceiverFigure, ...]:
        """Return how the receivers fare."""
        return self._notifier.figures()

    def close(self) -> None:
        """Stop; what was not delivered is told by the next monitor."""
        self._notifier.stop(STOP_S)

    def _send(self, receiver: str, told: list[Notification], now_us: int) -> None:
        models = self._models()
        owners = [models.get(one.alert.finding.model, ModelSettings()).owner for one in told]
        document = notification_document(told, owners, now_us)
        said = tuple(Told(one.alert.id, one.said) for one in told)
        self._notifier.offer(Parcel(receiver, document.delivery, encode_notification(document), said))


def receiver_of(settings: ReceiverSettings) -> Receiver:
    """Return what delivers to a receiver."""
    if settings.command:
        return Command(settings.command)
    return Webhook(
        secret_file=Path(settings.secret_file),
        url=settings.webhook,
        url_file=Path(settings.webhook_file) if settings.webhook_file else None,
        allow_private=settings.allow_private,
        ca_file=Path(settings.ca_file) if settings.ca_file else None,
    )
