"""What is new in the registry at each look, told once: for the timeline."""

from collections.abc import Iterable
from pathlib import Path

from driftgate.gateway.control.facts import VersionKey
from driftgate.gateway.logs import Logger
from driftgate.gateway.state.events import Event
from driftgate.models.registry.snapshot import PublishedVersion, RegistrySnapshot, RegistrySource

FOUND = "version_found"


class ObservedRegistry:
    """A registry whose looks tell `logger` of versions and mistakes that were not there before.

    Implements RegistrySource. `told` are earlier events of this gateway: what they found is not new.
    """

    def __init__(self, source: RegistrySource, logger: Logger, told: Iterable[Event] = ()) -> None:
        self._source = source
        self._logger = logger
        self._known = {VersionKey(event.model, event.version) for event in told if event.kind == FOUND}
        self._problems: dict[str, str] = {}

    def scan(self) -> RegistrySnapshot:
        """Return what is there now; raises what the source raises."""
        snapshot = self._source.scan()
        for model in snapshot.models.values():
            for version in model.versions.values():
                self._tell_version(version)
            self._tell_problem(model.name, model.problems.get(0, "") if model.settings is None else "")
        return snapshot

    def fetch(self, published: PublishedVersion, target: Path) -> None:
        """Copy a version as the source does."""
        self._source.fetch(published, target)

    def _tell_version(self, found: PublishedVersion) -> None:
        key = VersionKey(found.model, found.version)
        if key not in self._known:
            self._known.add(key)
            self._logger.info(FOUND, model=key.model, version=key.version, digest=found.digest)

    def _tell_problem(self, model: str, problem: str) -> None:
        if problem and self._problems.get(model) != problem:
            self._logger.warning("settings_refused", model=model, reason=problem)
        self._problems[model] = problem
