"""Compaction: a new snapshot of what the current one and the delta hold together, and when it is due.

The delta is read chunk by chunk; what is pushed meanwhile stays there and, being newer, counts.
`DeltaWriter.trim` takes out later what snapshots hold.
"""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from driftgate.features.embedded.lmdb_file import SharedRows
from driftgate.features.embedded.snapshot_writer import SnapshotWriter
from driftgate.features.embedded.snapshots import SnapshotInfo, ViewFiles
from driftgate.features.rows.codec import fault_of
from driftgate.features.rows.layout import RowLayout
from driftgate.features.views.view import FeatureView

CHUNK = 50_000
SOURCE = "compaction"
LOAD_KEPT_S = 7 * 86_400.0
"""A compaction takes the place of an older snapshot, and people go back to loads of the last days."""
GROWN_BY = 0.1
"""Of the rows of a snapshot; it is written anew as a whole."""


def is_due(held: Sequence[SnapshotInfo], pending: int, least: int, now_s: float) -> bool:
    """Tell whether a view is to be compacted without being asked.

    `held` are its snapshots, the oldest first; `pending` is how many rows were pushed that the last lacks. At
    least `least` of them are needed (0: it never is), and GROWN_BY of the snapshot, and no young load.
    """
    rows = held[-1].rows if held else 0
    loads = [datetime.fromisoformat(one.created_at).timestamp() for one in held if one.source != SOURCE]
    is_young = bool(loads) and max(loads) > now_s - LOAD_KEPT_S
    return 0 < least <= pending and pending >= GROWN_BY * rows and not is_young


def compact(root: Path, view: FeatureView) -> SnapshotInfo | None:
    """Build and swap in that snapshot; None if nothing was ever pushed.

    Rows of the delta that are damaged or of another schema stay out of it. Raises StoreBusy and StoreError.
    """
    try:
        delta = SharedRows(ViewFiles(root, view.name).delta)
    except FileNotFoundError:
        return None
    try:
        with SnapshotWriter(root, view, purpose=SOURCE, onto_current=True) as writer:
            _add(delta, writer, RowLayout.of(view))
            return writer.finish(SOURCE)
    finally:
        delta.close()


def _add(delta: SharedRows, writer: SnapshotWriter, layout: RowLayout) -> None:
    after = b""
    while rows := delta.next_items(after, CHUNK):
        after = rows[-1][0]
        sound = [(key, row) for key, row in rows if fault_of(layout, row) is None]
        writer.append_packed(sound, pushed=True)
