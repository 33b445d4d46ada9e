"""What the admin API says of alerts, and what it is asked. Names in it are stable."""

from typing import Annotated, Literal

import msgspec

from driftgate.monitoring.alerts.alert import Alert, NamedFeature, Rule, Severity, State
from driftgate.monitoring.alerts.book import LONGEST_SILENCE_S, SILENCE_S, Silence

SHORTEST_SILENCE_S = 60
Why = Annotated[str, msgspec.Meta(min_length=1, max_length=500)]
Asked = Literal["done", "asked"]
SilenceSeconds = Annotated[int, msgspec.Meta(ge=SHORTEST_SILENCE_S, le=LONGEST_SILENCE_S)]


class AcknowledgeRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Somebody looks at it. Drift is then watched anew: if it goes on, there is an alert again."""

    why: Why


class SilenceRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Tell nobody of a model's alerts for a while; they are recorded all the same.

    `rule` and `version` narrow it (0: any version).
    """

    why: Why
    for_s: SilenceSeconds = SILENCE_S
    rule: Rule | None = None
    version: Annotated[int, msgspec.Meta(ge=0)] = 0


class ToldReceiver(msgspec.Struct, frozen=True):
    """A receiver that was told, when (Unix microseconds), and what."""

    at_us: int
    receiver: str
    said: State


class AlertDocument(msgspec.Struct, frozen=True):
    """One alert. Times in Unix microseconds.

    First seen at `first_us`, in its state since `state_us`, not found any more since `missing_us` (0: it is).
    `window_us` is the last window that shows it, `onset_us` when it began as far as can be told (0: it
    cannot). `who` acknowledged it, and `why`.
    """

    id: str
    state: State
    severity: Severity
    rule: Rule
    model: str
    version: int
    arm: str
    segment: str
    text: str
    features: tuple[NamedFeature, ...]
    first_us: int
    state_us: int
    missing_us: int
    window_us: int
    onset_us: int
    who: str
    why: str
    notified: tuple[ToldReceiver, ...]

    @classmethod
    def of(cls, alert: Alert) -> "AlertDocument":
        """Return what is said of an alert."""
        finding = alert.finding
        return cls(
            id=alert.id,
            state=alert.state,
            severity=finding.severity,
            rule=finding.rule,
            model=finding.model,
            version=finding.version,
            arm=finding.arm,
            segment=finding.segment,
            text=finding.text,
            features=finding.features,
            first_us=alert.first_us,
            state_us=alert.state_us,
            missing_us=alert.missing_us,
            window_us=finding.window_us,
            onset_us=finding.onset_us,
            who=alert.who,
            why=alert.why,
            notified=tuple(ToldReceiver(one.at_us, one.receiver, one.said) for one in alert.notified),
        )


class AlertsAnswer(msgspec.Struct, frozen=True):
    """Alerts that are open or began lately, the open ones first, and the silences in force."""

    alerts: tuple[AlertDocument, ...]
    silences: tuple[Silence, ...]


class AskedAnswer(msgspec.Struct, frozen=True):
    """Whether the monitor has done what was asked, or will as soon as it runs; and to what."""

    state: Asked
    alert: AlertDocument | None = None
    silence: Silence | None = None
