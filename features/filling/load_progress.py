"""How far a load has come, kept beside what it has made, so that one that was killed goes on where it was.

After every chunk the counts are written last: what was made beyond them is made again.
"""

import csv
import io
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec

from driftgate.features.filling.sorted_runs import Run, write_run
from driftgate.features.filling.table_rows import ReadRows, Rejected
from driftgate.features.rows.packed_row import PackedRow

MAX_REASONS = 50
"""Different reasons that are counted; what comes after them is counted as `OTHER`."""
OTHER = "other reasons"


class LoadCounts(msgspec.Struct, frozen=True):
    """Rows of a file that were read so far, and what became of them.

    `reasons` counts the rejected by reason, `nan_as_null` the values that were NaN, by feature.
    """

    last_row: int = 0
    parts: int = 0
    taken: int = 0
    rejected: int = 0
    rejected_bytes: int = 0
    reasons: Mapping[str, int] = {}
    nan_as_null: Mapping[str, int] = {}

    def plus(self, last_row: int, read: ReadRows, rejected_bytes: int) -> "LoadCounts":
        """Return the counts after one more chunk, whose last row has the number `last_row`."""
        reasons = Counter(dict(self.reasons))
        for line in read.rejected:
            known = line.reason in reasons or len(reasons) < MAX_REASONS
            reasons[line.reason if known else OTHER] += 1
        return LoadCounts(
            max(self.last_row, last_row),
            self.parts + 1,
            self.taken + len(read.rows.keys),
            self.rejected + len(read.rejected),
            rejected_bytes,
            dict(reasons),
            dict(Counter(dict(self.nan_as_null)) + read.nan_as_null),
        )


class _Progress(msgspec.Struct, frozen=True):
    identity: str
    counts: LoadCounts


class LoadDirectory:
    """What a load has made so far: sorted runs, parts of the history, counts, and the rejected rows."""

    def __init__(self, directory: Path, rejected: Path, identity: str) -> None:
        """`identity` names file, view and options: what another load has left is thrown away."""
        self._directory = directory
        self._rejected = rejected
        self._identity = identity
        self.counts = LoadCounts()

    def open(self) -> None:
        """Take up what there is of the same load, else begin anew; raises OSError."""
        try:
            found = msgspec.json.decode(self._file.read_bytes(), type=_Progress)
        except (FileNotFoundError, msgspec.MsgspecError, UnicodeDecodeError):
            found = None
        if found is not None and found.identity == self._identity and self._has_rejected(found.counts):
            self.counts = found.counts
            return
        shutil.rmtree(self._directory, ignore_errors=True)
        self._directory.mkdir(mode=0o700, parents=True)
        self._rejected.unlink(missing_ok=True)

    def add(self, last_row: int, read: ReadRows, rows: Sequence[PackedRow]) -> None:
        """Keep a chunk: its rows in the order of their keys, and what was rejected of it."""
        if rows:
            write_run(self._run(self.counts.parts), rows)
        self.counts = self.counts.plus(last_row, read, self._note_rejected(read.rejected))
        unfinished = self._file.with_suffix(".part")
        unfinished.write_bytes(msgspec.json.encode(_Progress(self._identity, self.counts)))
        os.rename(unfinished, self._file)

    @contextmanager
    def runs(self) -> Iterator[list[Run]]:
        """Yield the runs of all chunks that had rows, open inside."""
        paths = [self._run(part) for part in range(self.counts.parts)]
        with ExitStack() as stack:
            opened = [Run(path) for path in paths if path.exists()]
            for run in opened:
                stack.callback(run.close)
            yield opened

    def history_part(self, part: int) -> Path:
        """Return where a part of the history is kept until the snapshot has its number."""
        return self._directory / f"{part:08}.parquet"

    def remove(self) -> None:
        """Remove everything but the rejected rows."""
        shutil.rmtree(self._directory, ignore_errors=True)

    @property
    def _file(self) -> Path:
        return self._directory / "progress.json"

    def _run(self, part: int) -> Path:
        return self._directory / f"{part:08}.run"

    def _has_rejected(self, counts: LoadCounts) -> bool:
        try:
            return os.path.getsize(self._rejected) >= counts.rejected_bytes
        except FileNotFoundError:
            return counts.rejected_bytes == 0

    def _note_rejected(self, rejected: Sequence[Rejected]) -> int:
        """Append rows to the file of the rejected and return its size."""
        if not rejected:
            return self.counts.rejected_bytes
        text = io.StringIO()
        lines = csv.writer(text, lineterminator="\n")
        if not self.counts.rejected_bytes:
            lines.writerow(("row", "reason"))
        lines.writerows(rejected)
        with open(self._rejected, "ab") as file:
            file.truncate(self.counts.rejected_bytes)
            file.write(text.getvalue().encode())
            return file.tell()
