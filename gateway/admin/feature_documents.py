"""What the admin API says of feature views."""

from typing import Any

import msgspec

from driftgate.features.embedded.snapshots import SnapshotInfo
from driftgate.features.lookup.skew import SkewRow
from driftgate.features.views.view import FeatureView


class Consumer(msgspec.Struct, frozen=True):
    """A model version that reads a view, and which of its features."""

    model: str
    version: int
    features: tuple[str, ...]


class ViewReport(msgspec.Struct, frozen=True):
    """One view: its declaration, what is stored, and who reads it.

    `snapshot` is the one that is read (0: none), with `rows` entities, made `age_s` ago; `pushed` is how many
    have a row beside it that was pushed; `size_bytes` is that of both. `problem` says why the view cannot be
    read, "" if it can.
    """

    view: FeatureView
    schema: str
    digest: str
    snapshot: int = 0
    rows: int = 0
    pushed: int = 0
    age_s: float | None = None
    size_bytes: int = 0
    snapshots: tuple[SnapshotInfo, ...] = ()
    consumers: tuple[Consumer, ...] = ()
    problem: str = ""


class ViewsAnswer(msgspec.Struct, frozen=True):
    """All views, and what is wrong with declarations that cannot be used."""

    views: tuple[ViewReport, ...]
    problems: tuple[str, ...] = ()


class DeclareRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A view to declare. `force` even where rows of its present declaration cannot be read by it."""

    view: FeatureView
    force: bool = False


class DeclareAnswer(msgspec.Struct, frozen=True):
    """What became of a declaration: "new", "changed" or "same"; `digest` names it."""

    view: str
    outcome: str
    digest: str
    schema: str


class RollbackRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which snapshot to go back to; None: the one before the present one."""

    snapshot: int | None = None


class VersionSkew(msgspec.Struct, frozen=True):
    """The same of the requests that one version of a model answered."""

    model: str
    version: int
    features: tuple[SkewRow, ...]


class SkewAnswer(msgspec.Struct, frozen=True):
    """Features of a view that clients sent themselves, against what is stored, the worst first."""

    view: str
    features: tuple[SkewRow, ...]
    versions: tuple[VersionSkew, ...] = ()


class FeatureValue(msgspec.Struct, frozen=True):
    """One feature of an entity as a model would get it now; `value` is null where it gets nothing."""

    name: str
    value: Any
    status: str
    unit: str = ""


class EntityAnswer(msgspec.Struct, frozen=True):
    """What is stored of one entity. `event_time` is ISO 8601, None if nothing usable was ever written.

    `fault` says why something stored was not used.
    """

    view: str
    key: tuple[str | int, ...]
    snapshot: int
    event_time: str | None
    age_s: float | None
    features: tuple[FeatureValue, ...]
    fault: str = ""
