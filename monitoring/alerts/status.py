"""What the monitor says of alerts and receivers, in a small file that metrics and control read."""

import msgspec

from driftgate.monitoring.alerts.alert import Rule, Severity, State


class AlertFigure(msgspec.Struct, frozen=True, array_like=True):
    """How many open alerts a model has of a rule, in a state."""

    model: str
    rule: Rule
    severity: Severity
    state: State
    count: int


class SilenceFigure(msgspec.Struct, frozen=True, array_like=True):
    """How many silences a model has, and when the last of them ends."""

    model: str
    count: int
    until_us: int


class ReceiverFigure(msgspec.Struct, frozen=True):
    """What became of notifications to one receiver since the monitor started.

    `failed` counts attempts, `dropped` notifications that were given up. `failing` since the last attempt.
    """

    name: str
    sent: int = 0
    failed: int = 0
    dropped: int = 0
    waiting: int = 0
    failing: bool = False
    reason: str = ""


class AlertStatus(msgspec.Struct, frozen=True):
    """All models together. `request` is the last one that was carried out.

    `unrouted` counts notifications for which there was no receiver, `unknown_receivers` are names that only
    models' settings know.
    """

    at_us: int = 0
    request: int = 0
    alerts: tuple[AlertFigure, ...] = ()
    silences: tuple[SilenceFigure, ...] = ()
    receivers: tuple[ReceiverFigure, ...] = ()
    unrouted: int = 0
    unknown_receivers: tuple[str, ...] = ()
