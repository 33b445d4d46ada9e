"""What the monitor makes windows with: the references of cached versions and the segments of `model.toml`."""

from pathlib import Path

from driftgate.gateway.layout import StateLayout
from driftgate.gateway.state.desired import DesiredModel, DesiredState, UnreadableState
from driftgate.gateway.state.generations import GenerationStore
from driftgate.models.cache import VersionCache
from driftgate.models.errors import UnsafeFile
from driftgate.models.files import open_directory, read_below
from driftgate.models.settings import ModelSettings
from driftgate.monitoring.reference import MAX_PROFILE_BYTES, PROFILE_FILE
from driftgate.monitoring.windows import Watched


class DesiredWindows:
    """Follows the desired state: which versions are held, where they are, how models are segmented."""

    def __init__(self, layout: StateLayout) -> None:
        self._generations = GenerationStore(layout.desired)
        self._cache = VersionCache(layout.cache)
        self._state: DesiredState | None = None

    def watched(self) -> Watched:
        """Return what the keeper of windows asks for."""
        return Watched(self.find_profile, self.segments_of, self.hashed_of)

    def state(self) -> DesiredState | None:
        """Return the newest desired state that could be read."""
        self._look()
        return self._state

    def model_settings(self) -> dict[str, ModelSettings]:
        """Return the settings of all models."""
        state = self.state()
        return {name: model.settings for name, model in state.models.items()} if state is not None else {}

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


def _read(directory: Path) -> bytes | None:
    try:
        with open_directory(str(directory)) as opened:
            return read_below(opened, PROFILE_FILE, MAX_PROFILE_BYTES)
    except (OSError, UnsafeFile):
        return None
