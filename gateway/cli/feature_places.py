"""Where commands that work on files find views and store, and what they say when something is wrong."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from driftgate.features.errors import FeatureError, InvalidView, SnapshotUnknown, StoreBusy
from driftgate.features.filling.tables import InvalidTable
from driftgate.features.views.declaration import declared_view
from driftgate.features.views.view import FeatureView
from driftgate.gateway.cli.refused import Exit, Refused
from driftgate.gateway.layout import StateLayout
from driftgate.gateway.settings import load_settings

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

State = Annotated[str | None, typer.Option(help="State directory of the gateway. [state]")]
Registry = Annotated[str | None, typer.Option(help="Registry that declares the views. [registry]")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
ViewName = Annotated[str, typer.Argument(metavar="VIEW", help="Name of the feature view.")]


@dataclass(frozen=True)
class FeaturePlaces:
    """The embedded store and the registry of one gateway on this machine."""

    store: Path
    registry: Path

    def view(self, name: str) -> FeatureView:
        """Return a declared view; raise Refused if there is none."""
        try:
            return declared_view(self.registry, name)
        except InvalidView as error:
            raise Refused(f"{error}; the registry is {self.registry} (--registry)", Exit.NOT_FOUND) from error


def feature_places(state: str | None, registry: str | None) -> FeaturePlaces:
    """Return where a gateway on this machine keeps its features; raise Refused if it cannot."""
    settings = load_settings(None, os.environ, {"server": {"state": state, "registry": registry}})
    if settings.features.store != "embedded":
        raise Refused("this gateway keeps features in Redis, which has no snapshots: push them", Exit.FAILED)
    root = Path(settings.server.state).absolute()
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        owner = root.stat().st_uid
    except OSError as error:
        raise Refused(f"{root} cannot be used: {error.strerror}", Exit.FAILED) from error
    if owner != os.geteuid():
        # The gateway could not read what somebody else wrote for themselves alone.
        reason = f"{root} belongs to the user with the id {owner}: run this as that user"
        raise Refused(reason, Exit.FAILED)
    return FeaturePlaces(StateLayout(root).features, Path(settings.server.registry).absolute())


@contextmanager
def telling() -> Iterator[None]:
    """Raise Refused with a reason and an exit code when features, tables or files fail inside."""
    try:
        yield
    except StoreBusy as error:
        raise Refused(str(error), Exit.CONFLICT) from error
    except SnapshotUnknown as error:
        raise Refused(str(error), Exit.NOT_FOUND) from error
    except (FeatureError, InvalidTable) as error:
        raise Refused(str(error), Exit.FAILED) from error
    except OSError as error:
        if error.errno in _FULL:
            raise Refused(
                "the disk is full; with room on it the same command can be run again", Exit.FAILED
            ) from error
        raise Refused(f"{error.filename or 'a file'}: {error.strerror or error}", Exit.FAILED) from error


@contextmanager
def progress_bar(what: str) -> Iterator["ShareShown"]:
    """Yield what shows a share of work to a person on standard error; nothing of it stays."""
    columns = (TextColumn(what), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        yield ShareShown(bar)


class ShareShown:
    """One bar; call it with the share that is done, 0 to 1."""

    def __init__(self, bar: Progress) -> None:
        self._bar = bar
        self._task = bar.add_task("", total=1.0)

    def __call__(self, share: float) -> None:
        """Show how much is done."""
        self._bar.update(self._task, completed=share)
