"""The monitor process, one per gateway: follows all logs, counts, archives, and says how it fares."""

import os
import sqlite3
import sys
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from driftgate.gateway.layout import StateLayout
from driftgate.gateway.logs import Logger
from driftgate.gateway.monitor.alert_post import AlertPost
from driftgate.gateway.monitor.alerting import Alerting
from driftgate.gateway.monitor.book import DAMAGE, begun_anew, open_book
from driftgate.gateway.monitor.reference_maker import ReferenceMaker
from driftgate.gateway.monitor.watched import DesiredWindows
from driftgate.gateway.processes.event_logger import EventLogger
from driftgate.gateway.processes.spawn import (
    ChildArguments,
    child_arguments,
    die_with_parent,
    dump_stacks_on_signal,
)
from driftgate.gateway.processes.stop_request import StopRequest
from driftgate.gateway.repeats import Repeats
from driftgate.gateway.settings import LogSettings, Settings
from driftgate.gateway.state.beat import Beat, BeatState
from driftgate.gateway.state.journal import Journal
from driftgate.gateway.state.slots import slot_numbers, take_lock
from driftgate.models.storage.durable import write_whole
from driftgate.monitoring.archive.files import Ages
from driftgate.monitoring.book.archiver import Archiver
from driftgate.monitoring.book.damage import DamagedBook
from driftgate.monitoring.book.follower import Follower, FollowerSettings
from driftgate.monitoring.book.log_query import Places
from driftgate.monitoring.book.windows import Watched
from driftgate.monitoring.drift.status import VersionFigure
from driftgate.monitoring.log.store import now_us

LOOK_EVERY_S = 0.2
STATE_EVERY_S = 1.0
FINISH_S = 4.0
"""Patience with the last records at the end; what is left is read at the next start."""
NICENESS = 10
"""About a tenth of a busy core: predictions go first, the log waits on disk."""


class MonitorProcess:
    """Life of the monitor: follow the logs until SIGTERM, then read and archive what came last."""

    def __init__(self, arguments: ChildArguments, layout: StateLayout) -> None:
        self._logger = EventLogger("monitor", arguments.settings.models.log_format)
        attach_journal(self._logger, layout)
        self._layout = layout
        self._problems = Repeats()
        self._beat = Beat.create(layout.monitor_beat, uuid.uuid4().hex, os.getpid(), time.monotonic_ns())
        self._db = open_book(layout, self._logger, int(time.time()))
        settings = arguments.settings.log
        archiver = Archiver(layout.archive, self._db, ages(settings), self._note)
        desired = DesiredWindows(layout, arguments.settings)
        self._follower = Follower(
            self._directories,
            self._db,
            archiver,
            follower_settings(arguments.settings, desired.watched()),
            self._note,
        )
        places = Places(layout.monitor_db, layout.archive, self._directories)
        self._references = ReferenceMaker(self._follower, places, desired.state, self._note)
        post = AlertPost(arguments.settings.alerts, desired.model_settings, self._note)
        self._alerting = Alerting(self._db, layout, post, self._logger)
        self._stop = StopRequest()
        self._failures, self._unwritten = Repeats(), Repeats()
        self._stated_at, self._stated_us = 0.0, 0
        self._told_drift: tuple[VersionFigure, ...] | None = None

    def run(self) -> None:
        """Run until SIGTERM or SIGINT."""
        self._stop.install()
        self._beat.state = BeatState.ACCEPTING
        self._logger.info("following", pid=os.getpid())
        while not self._stop.asked:
            self._step()
            if not self._follower.is_behind:
                self._stop.pause(LOOK_EVERY_S)
        self._finish()
        self._state()
        self._alerting.close()
        self._db.close()
        self._beat.state = BeatState.DEAD

    def _step(self) -> None:
        self._attempt(self._follow)
        self._attempt(self._judge)  # of what there is, and what people ask, even where logs cannot be read
        self._beat.pulse(time.monotonic_ns(), 0, 0, 0)
        sealed_us = self._follower.windows.sealed_us
        if sealed_us != self._stated_us or time.monotonic() >= self._stated_at + STATE_EVERY_S:
            self._stated_at, self._stated_us = time.monotonic(), sealed_us
            self._state()

    def _attempt(self, act: Callable[[], None]) -> None:
        try:
            act()
        except DamagedBook:
            raise
        except Exception as error:  # the loop's edge: the log is still there at the next step
            if self._failures.is_news(repr(error), time.monotonic()):
                self._logger.error("monitor_step_failed", error=type(error).__name__, reason=str(error))

    def _follow(self) -> None:
        self._follower.step(now_us())
        self._references.step(now_us())

    def _judge(self) -> None:
        windows, at_us = self._follower.windows, now_us()
        self._alerting.step(windows.findings, at_us)
        for finding in self._alerting.acknowledged():
            windows.acknowledge(finding, at_us)

    def _finish(self) -> None:
        try:
            self._follower.finish(now_us(), FINISH_S)
        except Exception as error:  # the end's edge: what is left is read at the next start
            self._logger.error("monitor_not_finished", error=type(error).__name__, reason=str(error))

    def _state(self) -> None:
        try:
            status = self._follower.status(now_us())
            write_whole(self._layout.monitor_status, msgspec.json.encode(status))
            windows = self._follower.windows.status(now_us())
            write_whole(self._layout.monitor_windows, msgspec.json.encode(windows))
            drift = self._follower.windows.drift_status(now_us())
            if drift.versions != self._told_drift:
                write_whole(self._layout.monitor_drift, msgspec.json.encode(drift))
                self._told_drift = drift.versions
            alerts = self._alerting.status(now_us())
            write_whole(self._layout.monitor_alerts, msgspec.json.encode(alerts))
        except OSError as error:
            if self._unwritten.is_news(str(error), time.monotonic()):
                self._logger.error("monitor_status_not_written", reason=error.strerror)

    def _directories(self) -> Mapping[int, Path]:
        return {number: self._layout.log(number) for number in slot_numbers(self._layout)}

    def _note(self, text: str) -> None:
        if self._problems.is_news(text, time.monotonic()):
            self._logger.error("monitor_problem", reason=text)


def attach_journal(logger: EventLogger, layout: StateLayout) -> None:
    """Let `logger` keep lines of note in the monitor's journal, if the disk takes it."""
    try:
        logger.attach(Journal(layout.events, "monitor"))
    except OSError as error:
        logger.error("state_not_written", reason=error.strerror)


def ages(settings: LogSettings) -> Ages:
    """Return how long the archive keeps records."""
    return Ages(settings.archive_days, settings.index_days)


def follower_settings(settings: Settings, watched: Watched) -> FollowerSettings:
    """Return when records are archived, how long things are kept, and what windows are made with."""
    return FollowerSettings(
        archive_every_s=settings.log.archive_every_s,
        local_days=settings.log.local_days,
        count_days=settings.log.index_days,
        minute_days=settings.monitor.minute_days,
        pane_days=settings.monitor.window_days,
        watched=watched,
    )


def begin_anew_next(arguments: ChildArguments, layout: StateLayout, reason: str) -> None:
    """Put a damaged book aside, so that the next monitor reads the logs into a new one."""
    logger = EventLogger("monitor", arguments.settings.models.log_format)
    attach_journal(logger, layout)
    begun_anew(layout, logger, int(time.time()), reason).close()


def main(argv: list[str] | None = None) -> None:
    """Run the monitor until SIGTERM."""
    arguments = child_arguments(argv)
    die_with_parent(arguments.parent_pid)
    layout = StateLayout(Path(arguments.settings.server.state))
    layout.root.mkdir(mode=0o700, parents=True, exist_ok=True)
    if take_lock(layout.monitor_lock) is None:
        sys.exit("another monitor follows the logs of this state directory")
    dump_stacks_on_signal(layout.monitor_stacks)
    os.nice(NICENESS)
    try:
        MonitorProcess(arguments, layout).run()
    except sqlite3.OperationalError as error:
        logger = Logger("monitor", arguments.settings.models.log_format)
        logger.error("monitor_db_not_writable", reason=str(error), effect="the logs wait; predictions go on")
        sys.exit(1)
    except DAMAGE as error:
        begin_anew_next(arguments, layout, str(error))
        sys.exit(1)


if __name__ == "__main__":
    main()
