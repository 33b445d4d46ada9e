"""`feature-views.json`: the feature views that the registry declares, where every process can read them.

Control writes it; workers read it, so that they serve on, and start, while the registry is away.
"""

from collections.abc import Callable
from itertools import chain
from pathlib import Path

import msgspec
from msgspec.structs import replace

from driftgate.features.views.view import FeatureView
from driftgate.models.schema.bind import model_problems, view_problems
from driftgate.models.schema.manifest import Manifest
from driftgate.models.storage.durable import write_whole

FORMAT = 1


class UnreadableViews(Exception):
    """A file of views that is damaged, or was written by a newer Driftgate."""


class KnownViews(msgspec.Struct, frozen=True):
    """Views by name, and what is wrong with declarations that cannot be used."""

    views: dict[str, FeatureView] = {}
    problems: dict[str, str] = {}

    def missing(self, name: str) -> str | None:
        """Return why there is no view of that name; None if there is one."""
        if name in self.views:
            return None
        problem = self.problems.get(name)
        return f"the feature view {name!r} is not declared" + (f" soundly: {problem}" if problem else "")


class _Document(msgspec.Struct, frozen=True):
    format: int
    views: list[FeatureView]
    problems: dict[str, str]


class _OnlyFormat(msgspec.Struct):
    format: int


def encode_views(known: KnownViews) -> bytes:
    """Return the bytes of the file, the same for the same views."""
    views = [known.views[name] for name in sorted(known.views)]
    return msgspec.json.encode(_Document(FORMAT, views, dict(sorted(known.problems.items()))))


def decode_views(data: bytes) -> KnownViews:
    """Return the views in the bytes of a file; raise UnreadableViews if they are none."""
    try:
        found = msgspec.json.decode(data, type=_OnlyFormat).format
        if found != FORMAT:
            raise UnreadableViews(f"the feature views have format {found}; this Driftgate reads {FORMAT}")
        document = msgspec.json.decode(data, type=_Document)
    except msgspec.MsgspecError as error:
        raise UnreadableViews(f"the feature views are damaged: {error}") from error
    return KnownViews({view.name: view for view in document.views}, document.problems)


def write_views(path: Path, known: KnownViews) -> None:
    """Replace the file whole; raises OSError."""
    write_whole(path, encode_views(known))


def unfit_features(manifest: Manifest, known: KnownViews) -> str | None:
    """Return what in a version's binding contradicts its model or declared views; None if nothing does.

    A view that is not declared, or not yet, contradicts nothing.
    """
    binding = manifest.features
    if binding is None:
        return None
    for problem in model_problems(manifest):
        return f"the features bound in manifest.json do not fit the model: {problem.text}"
    declared = replace(binding, views=tuple(bound for bound in binding.views if bound.view in known.views))
    for problem in view_problems(replace(manifest, features=declared), known.views):
        return f"the declared feature views do not fit this version: {problem.text}"
    return None


def missing_features(
    manifest: Manifest, known: KnownViews, unavailable: Callable[[FeatureView], str | None]
) -> str | None:
    """Return why a version cannot have its features: undeclared, unfit, or `unavailable`; None if it can."""
    binding = manifest.features
    if binding is None:
        return None
    unfit = unfit_features(manifest, known)
    if unfit is not None:
        return unfit
    names = [bound.view for bound in binding.views]
    undeclared = (known.missing(name) for name in names)
    unread = (unavailable(known.views[name]) for name in names)
    return next((reason for reason in chain(undeclared, unread) if reason is not None), None)


class ViewsFile:
    """The file as one process follows it: a look costs one `stat` while nothing changes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen = (0, 0)
        self.known = KnownViews()

    def look(self) -> bool:
        """Take up what has changed and return whether anything did; raise UnreadableViews once per change."""
        try:
            status = self._path.stat()
            seen = (status.st_ino, status.st_mtime_ns)
            if seen == self._seen:
                return False
            data = self._path.read_bytes()
        except OSError:  # not written yet, or being replaced: what is known stays
            return False
        self._seen = seen
        self.known = decode_views(data)
        return True
