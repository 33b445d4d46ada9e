"""What the monitor makes windows with: the references of cached versions and the segments of `model.toml`."""

from pathlib import Path

from driftgate.gateway.layout import StateLayout
from driftgate.gateway.monitor.alert_routes import budgets
from driftgate.gateway.settings import Settings
from driftgate.gateway.state.desired import DesiredModel, DesiredState, UnreadableState
from driftgate.gateway.state.generations import GenerationStore
from driftgate.models.errors import UnsafeFile
from driftgate.models.registry.cache import VersionCache
from driftgate.models.registry.settings import ModelSettings
from driftgate.models.storage.files import open_directory, read_below
from driftgate.monitoring.book.windows import Watched
from driftgate.monitoring.drift.budget import Receiver
from driftgate.monitoring.drift.plan import DriftPlan, Judging
from driftgate.monitoring.reference.profile import MAX_PROFILE_BYTES, PROFILE_FILE


class DesiredWindows:
    """Follows the desired state: which versions are held, where they are, how models are segmented."""

    def __init__(self, layout: StateLayout, settings: Settings | None = None) -> None:
        self._settings = settings or Settings()
        self._generations = GenerationStore(layout.desired)
        self._cache = VersionCache(layout.cache)
        self._state: DesiredState | None = None

    def watched(self) -> Watched:
        """Return what the keeper of windows asks for."""
        return Watched(
            find_profile=self.find_profile,
            segments_of=self.segments_of,
            hashed_of=self.hashed_of,
            window_us=self._settings.monitor.window_s * 1_000_000,
            plan_of=self.plan_of,
            receivers=self.receivers,
            arms_of=self.arms_of,
        )

    def state(self) -> DesiredState | None:
        """Return the newest desired state that could be read."""
        self._look()
        return self._state

    def model_settings(self) -> dict[str, ModelSettings]:
        """Return the settings of all models."""
        state = self.state()
        return {name: model.settings for name, model in state.models.items()} if state is not None else {}

    def plan_of(self, model: str, version: int) -> DriftPlan:
        """Return how drift of a version is watched; one that is not known is observed."""
        found = self._model(model)
        return drift_plan(found, version) if found is not None else DriftPlan()

    def receivers(self) -> dict[str, Receiver]:
        """Return who is notified of the drift of which models, with the budget of each."""
        return budgets(self._settings.alerts, self.model_settings())

    def arms_of(self, model: str) -> frozenset[str] | None:
        """Return the arms of a model that have weight; None while no desired state is known."""
        found = self._model(model)
        if self._state is None:
            return None
        arms = found.split.arms if found is not None else ()
        return frozenset(arm.name for arm in arms if arm.weight_ppm)

    def segments_of(self, model: str) -> tuple[str, ...]:
        """Return the features by which a model's rows are segmented."""
        found = self._model(model)
        return found.settings.segments if found is not None else ()

    def hashed_of(self, model: str) -> tuple[str, ...]:
        """Return the columns of a model that are logged as hashes."""
        found = self._model(model)
        return found.settings.log.hash if found is not None else ()

    def find_profile(self, model: str, version: int) -> bytes | None:
        """Return the profile of a version that is held, None if it was published without one."""
        found = self._model(model)
        held = found.held if found is not None else ()
        directories = [self._cache.path(one.digest) for one in held if one.version == version]
        return _read(directories[0]) if directories else None

    def _model(self, name: str) -> DesiredModel | None:
        self._look()
        return self._state.models.get(name) if self._state is not None else None

    def _look(self) -> None:
        known = self._state.generation if self._state is not None else 0
        if known and not self._generations.exists(known + 1):
            return
        try:
            newest = self._generations.newest()
        except UnreadableState:
            return  # control says so; what was known stays
        self._state = newest[0] if newest is not None else None


def drift_plan(model: DesiredModel, version: int) -> DriftPlan:
    """Return how drift of a model's version is watched, by its settings and what operators asked for."""
    settings, armed = model.settings.drift, model.armed.get(str(version))
    return DriftPlan(
        is_watched=settings.mode != "off",
        notifies=armed is not None or settings.mode == "armed",
        forget_us=max(model.drift_acknowledged_us, armed.since_us if armed else 0),
        judging=Judging(
            tolerance=settings.tolerance,
            thin=settings.thin,
            learnt=(armed.first_us, armed.end_us) if armed and armed.end_us else None,
            utc_offset_s=settings.utc_offset_s,
        ),
    )


def _read(directory: Path) -> bytes | None:
    try:
        with open_directory(str(directory)) as opened:
            return read_below(opened, PROFILE_FILE, MAX_PROFILE_BYTES)
    except (OSError, UnsafeFile):
        return None
