"""A logger whose lines of note are also kept in the journal of its process.

What the generations tell is not kept a second time. Before the journal is attached, and after it was given
up, lines of note wait in memory or are only logged.
"""

import threading
from collections import deque
from collections.abc import Mapping
from datetime import UTC, datetime

from driftgate.gateway.logs import Level, LogFormat, Logger, Value
from driftgate.gateway.state.events import Event
from driftgate.gateway.state.journal import Journal

KEPT = frozenset(
    {
        "version_received",
        "version_found",
        "version_verified",
        "version_refused",
        "cached_copy_dropped",
        "settings_refused",
        "alert_firing",
        "alert_resolved",
        "alert_acknowledged",
        "alerts_silenced",
        "alerts_unsilenced",
        "alerts_tested",
        "token_created",
        "token_revoked",
        "settings_written",
        "registry_unavailable",
        "registry_available",
        "gateway_started",
        "gateway_stopped",
        "gateway_taken_over",
        "gateway_handed_over",
        "process_ended",
        "process_hangs",
        "process_killed",
    }
)
"""The lines that are events: of what happened once, not of how something goes."""
WAITING = 256
_REST = ("alert", "exit", "running", "digest", "restart_in_s")


class EventLogger(Logger):
    """Writes events of one process to standard error, and those of note to its journal too."""

    def __init__(self, process: str, log_format: LogFormat = "json") -> None:
        super().__init__(process, log_format)
        self._process_name = process
        self._journal: Journal | None = None
        self._waiting: deque[Event] | None = deque(maxlen=WAITING)
        self._keeping = threading.Lock()
        self._last: dict[tuple[str, str, int], str] = {}

    def attach(self, journal: Journal) -> None:
        """Keep lines of note in `journal` from now on, and those that came before."""
        self._journal = journal
        waiting, self._waiting = self._waiting or (), None
        for event in waiting:
            self._append(journal, event)

    def detach(self) -> None:
        """Keep nothing any more: another process writes the journal from now on."""
        if self._journal is not None:
            self._journal.close()
        self._journal = self._waiting = None

    def _write(self, level: Level, event: str, values: dict[str, Value]) -> None:
        super()._write(level, event, values)
        if event in KEPT:
            with self._keeping:
                self._keep(self._event_of(event, values))

    def _keep(self, event: Event) -> None:
        if self._is_repeated(event):
            return
        if self._journal is not None:
            self._append(self._journal, event)
        elif self._waiting is not None:
            self._waiting.append(event)

    def _event_of(self, kind: str, values: Mapping[str, Value]) -> Event:
        why = str(values.get("why") or values.get("reason") or "")
        rest = ", ".join(f"{key} {_shown(values[key])}" for key in _REST if values.get(key))
        version = values.get("version")
        return Event(
            at=datetime.now(UTC).isoformat(timespec="milliseconds"),
            kind=kind,
            who=str(values.get("who") or self._process_name),
            why="; ".join(text for text in (why, rest) if text),
            model=str(values.get("model") or ""),
            version=version if isinstance(version, int) else 0,
            process=str(values.get("child") or ""),
        )

    def _is_repeated(self, event: Event) -> bool:
        """Whether a refusal is the same as the last one of that version: it is tried again for ever."""
        subject = (event.kind, event.model, event.version)
        repeated = event.kind == "version_refused" and self._last.get(subject) == event.why
        if event.kind == "version_refused":
            self._last[subject] = event.why
        return repeated

    def _append(self, journal: Journal, event: Event) -> None:
        try:
            journal.append(event)
        except OSError as error:  # a full disk stops nothing; the line on standard error is there
            super()._write("error", "event_not_kept", {"kind": event.kind, "reason": error.strerror})


def _shown(value: Value) -> str:
    return ", ".join(value) if isinstance(value, list) else str(value)
