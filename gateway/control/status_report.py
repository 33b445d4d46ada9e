"""Writes down what control sees, whenever that has changed: `control.json`."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from driftgate.gateway.control.facts import Verified, VersionKey
from driftgate.gateway.logs import Logger
from driftgate.gateway.repeats import Repeats
from driftgate.gateway.state.control_status import (
    MOST_VERSIONS,
    ControlStatus,
    RefusedVersion,
    ServedVersion,
)
from driftgate.gateway.state.desired import DesiredState
from driftgate.models.storage.durable import write_whole

WRITE_EVERY_S = 1.0
SECONDS_PER_DAY = 86_400


def control_status(
    desired: DesiredState,
    registry_problem: str,
    verified: Mapping[VersionKey, Verified],
    failed: Mapping[VersionKey, str],
) -> ControlStatus:
    """Return what there is to say; pure."""
    served = [
        ServedVersion(name, version, _created_s(verified.get(VersionKey(name, version))))
        for name, model in desired.models.items()
        for version in sorted(model.split.versions)
    ]
    limits = {name: model.settings.alerts.max_age_days for name, model in desired.models.items()}
    return ControlStatus(
        registry_problem=registry_problem,
        refused=tuple(RefusedVersion(*key, why) for key, why in sorted(failed.items()))[:MOST_VERSIONS],
        served=tuple(served)[:MOST_VERSIONS],
        max_age_s={name: days * SECONDS_PER_DAY for name, days in limits.items() if days},
    )


class StatusReport:
    """The file, for its one writer."""

    def __init__(self, path: Path, logger: Logger) -> None:
        self._path = path
        self._logger = logger
        self._problems = Repeats()
        self._last: ControlStatus | None = None
        self._looked_at = float("-inf")

    def is_due(self, now: float) -> bool:
        """Tell whether to look again; `now` is monotonic."""
        due = now >= self._looked_at + WRITE_EVERY_S
        self._looked_at = now if due else self._looked_at
        return due

    def write(self, status: ControlStatus) -> None:
        """Write what is new; where the disk does not take it, it is tried again."""
        if status == self._last:
            return
        try:
            write_whole(self._path, msgspec.json.encode(status))
            self._last = status
        except OSError as error:
            if self._problems.is_news(str(error.strerror), self._looked_at):
                self._logger.warning("state_not_written", reason=error.strerror)


def _created_s(verified: Verified | None) -> int:
    text = verified.manifest.provenance.created_at if verified is not None else ""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return 0
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
