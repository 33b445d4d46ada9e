"""Which receivers are told of which alerts, and what budget of false alarms they have. Pure."""

from collections.abc import Mapping
from fnmatch import fnmatchcase

from driftgate.gateway.settings import AlertSettings, ReceiverSettings
from driftgate.models.registry.settings import ModelSettings
from driftgate.monitoring.alerts.alert import Severity
from driftgate.monitoring.drift.budget import Receiver, parse_budget

NOBODY = ""
"""Stands for the receiver of models that have none: their drift is shown, with a budget all the same."""


def receivers_of(
    settings: AlertSettings, name: str, model: ModelSettings, severity: Severity
) -> tuple[str, ...]:
    """Return the names of the receivers that are told of a model's alerts of a severity.

    They are those that `model.toml` names and the process knows; if that is nobody, those whose models,
    owners and severities fit.
    """
    named = model.alerts.page if severity is Severity.PAGE else model.alerts.ticket
    known = tuple(dict.fromkeys(receiver for receiver in named if receiver in settings.receivers))
    fitting = (it for it, receiver in settings.receivers.items() if _fits(receiver, name, model, severity))
    return known or tuple(fitting)


def unknown_receivers(settings: AlertSettings, model: ModelSettings) -> tuple[str, ...]:
    """Return the names in a `model.toml` that no receiver has."""
    named = (*model.alerts.page, *model.alerts.ticket)
    return tuple(sorted({name for name in named if name not in settings.receivers}))


def budgets(settings: AlertSettings, models: Mapping[str, ModelSettings]) -> dict[str, Receiver]:
    """Return who is notified of the drift of which models, with the budget of each; NOBODY for the rest."""
    of_model = {name: receivers_of(settings, name, it, Severity.TICKET) for name, it in models.items()}
    found = {
        receiver: Receiver(
            receiver,
            frozenset(name for name, told in of_model.items() if receiver in told),
            parse_budget(it.false_alarms),
        )
        for receiver, it in settings.receivers.items()
    }
    rest = frozenset(name for name, told in of_model.items() if not told)
    return found | {NOBODY: Receiver(NOBODY, rest, parse_budget(settings.false_alarms))}


def _fits(receiver: ReceiverSettings, name: str, model: ModelSettings, severity: Severity) -> bool:
    return (
        severity in receiver.severities
        and any(fnmatchcase(name, pattern) for pattern in receiver.models)
        and (not receiver.owners or model.owner in receiver.owners)
    )
