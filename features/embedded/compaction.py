"""Compaction: a new snapshot of what the current one and the delta hold together.

The delta is read chunk by chunk; what is pushed meanwhile stays there and, being newer, counts.
`DeltaWriter.trim` takes out later what snapshots hold.
"""

from pathlib import Path

from driftgate.features.embedded.lmdb_file import SharedRows
from driftgate.features.embedded.snapshot_writer import SnapshotWriter
from driftgate.features.embedded.snapshots import SnapshotInfo, ViewFiles
from driftgate.features.rows.codec import fault_of
from driftgate.features.rows.layout import RowLayout
from driftgate.features.views.view import FeatureView

CHUNK = 50_000


def compact(root: Path, view: FeatureView) -> SnapshotInfo | None:
    """Build and swap in that snapshot; None if nothing was ever pushed.

    Rows of the delta that are damaged or of another schema stay out of it. Raises StoreBusy and StoreError.
    """
    try:
        delta = SharedRows(ViewFiles(root, view.name).delta)
    except FileNotFoundError:
        return None
    try:
        with SnapshotWriter(root, view, purpose="compaction", onto_current=True) as writer:
            _add(delta, writer, RowLayout.of(view))
            return writer.finish("compaction")
    finally:
        delta.close()


def _add(delta: SharedRows, writer: SnapshotWriter, layout: RowLayout) -> None:
    after = b""
    while rows := delta.next_items(after, CHUNK):
        after = rows[-1][0]
        writer.append_packed([(key, row) for key, row in rows if fault_of(layout, row) is None])
