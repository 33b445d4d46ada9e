"""The report of who would be refused: counted, bounded, added up."""

from pathlib import Path

from driftgate.gateway.access.refusals import (
    MAX_ROWS,
    OTHERS,
    RefusalReport,
    Subject,
    all_refusals,
    read_report,
)
from driftgate.gateway.layout import StateLayout

CALLER = Subject("10.0.0.1", "", "infer:m or admin", "no_token")


def test_counts_outlive_a_worker(tmp_path: Path) -> None:
    """A worker that is replaced goes on counting, and writes only what has changed."""
    path = tmp_path / "refusals.json"
    for at in (1.0, 2.0):
        report = RefusalReport(path, lambda at=at: at)  # type: ignore[misc]  # the default binds the time
        report.note(CALLER)
        report.write()
    (row,) = read_report(path)
    assert (row.client, row.count, row.last_at) == ("10.0.0.1", 2, 2.0)
    path.unlink()
    report.write()
    assert not path.exists()


def test_callers_are_bounded(tmp_path: Path) -> None:
    """Beyond so many callers only reasons are told apart, and nothing is lost from the sum."""
    path = tmp_path / "refusals.json"
    report = RefusalReport(path, lambda: 1.0)
    for number in range(MAX_ROWS + 50):
        report.note(CALLER._replace(client=str(number)))
    report.write()
    rows = read_report(path)
    assert len(rows) == MAX_ROWS + 1
    assert sum(row.count for row in rows) == MAX_ROWS + 50
    assert next(row.count for row in rows if row.client == OTHERS) == 50


def test_workers_are_added_up(tmp_path: Path) -> None:
    """The same caller at two workers is one row; a damaged report costs its own counts only."""
    layout = StateLayout(tmp_path)
    for number in range(3):
        layout.slot(number).mkdir(parents=True)
        report = RefusalReport(layout.refusals(number), lambda: 1.0)
        report.note(CALLER)
        report.note(CALLER._replace(client=f"10.0.0.{number}"))
        report.write()
    layout.refusals(2).write_bytes(b"{")
    assert [(row.client, row.count) for row in all_refusals(layout)] == [("10.0.0.1", 3), ("10.0.0.0", 1)]
