"""Who is told of which alerts: by model, owner and severity, or by name."""

import pytest

from driftgate.gateway.monitor.alert_routes import NOBODY, budgets, receivers_of, unknown_receivers
from driftgate.gateway.settings import AlertSettings, ReceiverSettings
from driftgate.models.registry.settings import ModelAlertSettings, ModelSettings
from driftgate.monitoring.alerts.alert import Severity

COMMAND = ("true",)
PAGE, TICKET = Severity.PAGE, Severity.TICKET
SETTINGS = AlertSettings(
    receivers={
        "oncall": ReceiverSettings(command=COMMAND, severities=(PAGE,)),
        "risk": ReceiverSettings(command=COMMAND, owners=("risk",), false_alarms="1 in 8w"),
        "fraud": ReceiverSettings(command=COMMAND, models=("fraud*",), severities=(TICKET,)),
    }
)


@pytest.mark.parametrize(
    ("name", "model", "severity", "told"),
    [
        ("iris", ModelSettings(), PAGE, ("oncall",)),
        ("iris", ModelSettings(), TICKET, ()),
        ("iris", ModelSettings(owner="risk"), PAGE, ("oncall", "risk")),
        ("fraud-eu", ModelSettings(), TICKET, ("fraud",)),
        ("iris", ModelSettings(alerts=ModelAlertSettings(page=("fraud",))), PAGE, ("fraud",)),
        ("iris", ModelSettings(alerts=ModelAlertSettings(page=("gone", "risk"))), PAGE, ("risk",)),
        ("iris", ModelSettings(alerts=ModelAlertSettings(page=("gone",))), PAGE, ("oncall",)),
        ("iris", ModelSettings(alerts=ModelAlertSettings(page=("risk",))), TICKET, ()),
    ],
)
def test_routes(name: str, model: ModelSettings, severity: Severity, told: tuple[str, ...]) -> None:
    """Names in model.toml come first; without one that is known, patterns, owners and severities decide."""
    assert receivers_of(SETTINGS, name, model, severity) == told


def test_unknown_names_are_found() -> None:
    """What a model.toml names and nobody is."""
    model = ModelSettings(alerts=ModelAlertSettings(page=("gone", "oncall"), ticket=("gone", "away")))
    assert unknown_receivers(SETTINGS, model) == ("away", "gone")


def test_budgets_cover_every_model_once_or_more() -> None:
    """Each receiver has a budget for the models whose drift it is told of; the rest share the default."""
    found = budgets(SETTINGS, {"iris": ModelSettings(), "fraud": ModelSettings(owner="risk")})
    assert {name: set(it.models) for name, it in found.items()} == {
        "oncall": set(),
        "risk": {"fraud"},
        "fraud": {"fraud"},
        NOBODY: {"iris"},
    }
    assert found["risk"].budget.every_s == 2 * found["fraud"].budget.every_s
