"""The evidence at which a model's tests notify: the strictest budget of its receivers, shared by tests."""

from collections.abc import Callable, Mapping

from driftgate.monitoring.drift.budget import FalseAlarmBudget, Receiver, alarm_targets

Receivers = Callable[[], Mapping[str, Receiver]]
"""Returns who is notified of which models, by name."""


class DriftTargets:
    """Targets of all models for windows of this length; `count` says anew which tests are live."""

    def __init__(self, receivers: Receivers, window_us: int, note: Callable[[str], None]) -> None:
        self.window_us = window_us
        self._receivers = receivers
        self._note = note
        self._targets: dict[str, float] = {}

    def count(self, tests: Mapping[str, int]) -> frozenset[str]:
        """Take in how many live tests each model has; return the models whose target changed.

        A receiver whose budget is shorter than a window is told as a problem, and counts for nothing.
        """
        found: dict[str, float] = {}
        for name, receiver in self._receivers().items():
            try:
                targets = alarm_targets({name: receiver}, tests, self.window_us / 1e6)
            except ValueError as error:
                self._note(f"false alarms: {error}")
                continue
            for (_, model), target in targets.items():
                found[model] = max(found.get(model, 0.0), target)
        before, self._targets = self._targets, found
        return frozenset(name for name in tests if before.get(name) != found.get(name))

    def of(self, model: str) -> float:
        """Return the target of a model; that of the default budget alone where it has no receiver."""
        found = self._targets.get(model)
        return FalseAlarmBudget().every_s * 1e6 / self.window_us if found is None else found
