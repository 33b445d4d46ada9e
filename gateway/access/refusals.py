"""Who would be refused if tokens were demanded: counted by each worker, for operators who are about to.

Every worker writes a small file of its own; whoever reports adds them up.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import msgspec

from driftgate.gateway.layout import StateLayout
from driftgate.gateway.state.slots import slot_numbers
from driftgate.models.storage.durable import write_whole

MAX_ROWS = 1000
OTHERS = "others"


class Subject(NamedTuple):
    """Who asked for what, and why it would be refused: reasons are those of `auth.Verdict`, and `quota`.

    `token` is an id, empty where there is no good token; `scope` would have been needed.
    """

    client: str
    token: str
    scope: str
    reason: str


class Refusal(msgspec.Struct, frozen=True):
    """How often somebody would have been refused, and the last time, in Unix seconds."""

    client: str
    token: str
    scope: str
    reason: str
    count: int
    last_at: float


class RefusalReport:
    """What one worker would have refused. Keeps its counts over a restart, and at most MAX_ROWS rows."""

    def __init__(self, path: Path, clock: Callable[[], float]) -> None:
        """`clock` gives Unix seconds."""
        self._path = path
        self._clock = clock
        self._rows = {_subject(row): row for row in read_report(path)}
        self._changed = False

    def note(self, subject: Subject) -> None:
        """Count one request; beyond MAX_ROWS kinds of them only their reasons are told apart."""
        if subject not in self._rows and len(self._rows) >= MAX_ROWS:
            subject = Subject(OTHERS, "", "", subject.reason)
        count = self._rows[subject].count if subject in self._rows else 0
        self._rows[subject] = Refusal(*subject, count + 1, self._clock())
        self._changed = True

    def write(self) -> None:
        """Write what has changed since the last time, if anything; raise OSError if that fails."""
        if self._changed:
            write_whole(self._path, msgspec.json.encode(tuple(self._rows.values())))
            self._changed = False


def read_report(path: Path) -> tuple[Refusal, ...]:
    """Return what a worker wrote; nothing if it never did, or if that cannot be read."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=tuple[Refusal, ...])
    except (OSError, msgspec.MsgspecError):
        return ()


def all_refusals(layout: StateLayout) -> tuple[Refusal, ...]:
    """Return what all workers would have refused, the most frequent first."""
    return add_refusals(read_report(layout.refusals(number)) for number in slot_numbers(layout))


def add_refusals(reports: Iterable[tuple[Refusal, ...]]) -> tuple[Refusal, ...]:
    """Add up the reports of several workers."""
    total: dict[Subject, Refusal] = {}
    for row in (row for report in reports for row in report):
        subject = _subject(row)
        known = total.get(subject)
        count, last_at = (known.count, known.last_at) if known else (0, 0.0)
        total[subject] = Refusal(*subject, count + row.count, max(last_at, row.last_at))
    return tuple(sorted(total.values(), key=lambda row: (-row.count, _subject(row))))


def _subject(row: Refusal) -> Subject:
    return Subject(row.client, row.token, row.scope, row.reason)
