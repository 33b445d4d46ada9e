"""Where one demo keeps its registry, its state and its logs."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from driftgate.gateway.layout import StateLayout


class UnusableDirectory(Exception):
    """The directory for the demo holds something already, or cannot be made; the text names it."""


@dataclass(frozen=True)
class Workplace:
    """Directories of one demo."""

    root: Path

    @property
    def registry(self) -> Path:
        """Where the models are published."""
        return self.root / "registry"

    @property
    def state(self) -> Path:
        """The gateway's state directory."""
        return self.root / "state"

    @property
    def features(self) -> Path:
        """The embedded feature store in it."""
        return StateLayout(self.state).features

    @property
    def held_out(self) -> Path:
        """What the training jobs leave."""
        return self.root / "held_out"

    def log(self, process: str) -> Path:
        """Where a process writes its log."""
        return self.root / f"{process}.log"


@contextmanager
def workplace(directory: Path | None) -> Iterator[Workplace]:
    """Make a place for the demo: `directory`, which is kept and must be empty, or a temporary one."""
    if directory is None:
        with tempfile.TemporaryDirectory(prefix="driftgate-demo-", ignore_cleanup_errors=True) as made:
            yield _laid_out(Path(made))
    else:
        _make_empty(directory)
        yield _laid_out(directory)


def _make_empty(directory: Path) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        is_empty = not any(directory.iterdir())
    except OSError as error:
        raise UnusableDirectory(f"{directory} cannot be made or read: {error.strerror}") from error
    if not is_empty:
        raise UnusableDirectory(f"{directory} is not empty; the demo needs a directory of its own")


def _laid_out(root: Path) -> Workplace:
    place = Workplace(root.resolve())
    for directory in (place.registry, place.state, place.held_out):
        directory.mkdir()
    return place
