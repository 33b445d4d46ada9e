"""Places for child processes, as the supervisor keeps them: start one, look, act on it, note its end."""

import contextlib
import os
import signal
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

from driftgate.gateway.logs import Logger
from driftgate.gateway.processes.spawn import STACK_SIGNAL, ChildArguments, spawn
from driftgate.gateway.processes.supervision import (
    Action,
    Child,
    Role,
    Step,
    failures_after_exit,
    restart_delay_s,
)
from driftgate.gateway.state.beat import BeatReading, BeatState, mark_dead, read_beat
from driftgate.monitoring.log.segments import write_end_marker


@dataclass(frozen=True)
class Vitals:
    """Where a process keeps its beat and its log, and where its stacks are written when it hangs."""

    beat: Path
    stacks: Path
    log: Path | None = None


@dataclass(frozen=True)
class Ending:
    """How a process ended that was not asked to.

    `ending` is the signal or exit code; `running` names the versions that were computing, or the one that it
    was killed for because it `hung`. `boot` is empty if it ended before it said its own.
    """

    name: str
    role: Role
    boot: str
    ending: str
    running: tuple[str, ...]
    hung: bool


class Place:
    """A place for one child, whose process comes and goes. Times are CLOCK_MONOTONIC in seconds.

    A process without `vitals` is watched for its end only.
    """

    def __init__(
        self, role: Role, module: str, arguments: ChildArguments, vitals: Vitals | None, logger: Logger
    ) -> None:
        self.name = role.value if arguments.slot is None else f"{role.value}-{arguments.slot}"
        self._module = module
        self._arguments = arguments
        self._vitals = vitals
        self._logger = logger
        self._process: subprocess.Popen[bytes] | None = None
        self._child = Child(self.name, role, running=False, since=0.0)
        self._failures = 0
        self._hanging = ""

    @property
    def pid(self) -> int:
        """The pid of the process that is here, 0 if there is none."""
        return self._process.pid if self._process else 0

    @property
    def is_worker(self) -> bool:
        """Whether this is a place for a worker."""
        return self._child.role is Role.WORKER

    def look(self) -> Child:
        """Return what is here now."""
        return replace(self._child, beat=self._read_beat())

    def reap(self, now: float) -> Ending | None:
        """Notice it if the process has ended; return how, if that was not on request."""
        code = self._process.poll() if self._process else None
        return None if code is None else self._note_exit(code, now)

    def act(self, action: Action, now: float) -> None:
        """Do one step; anything but a start needs a process."""
        if action.step is Step.START:
            self._start(now)
        elif self._process is not None:
            self._signal(self._process, action, now)

    def end(self) -> None:
        """Kill the process, if any, and wait until it is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _start(self, now: float) -> None:
        try:
            self._process = spawn(self._module, self._arguments)
        except OSError as error:
            self._failures += 1
            self._child = replace(self._child, since=now + restart_delay_s(self._failures))
            self._logger.error("process_start_failed", child=self.name, reason=error.strerror)
            return
        self._child = Child(self.name, self._child.role, running=True, since=now)

    def _signal(self, process: subprocess.Popen[bytes], action: Action, now: float) -> None:
        if action.step is Step.TERMINATE:
            process.terminate()
            self._child = replace(self._child, asked_at=now)
            self._logger.info("process_stopping", child=self.name, pid=self.pid, why=action.why)
        elif action.step is Step.DUMP:
            self._child = replace(self._child, dumped_at=now)
            self._hanging = action.version
            self._log_hung(action)
            process.send_signal(STACK_SIGNAL)
            # A stopped process takes no signal but this one and SIGKILL.
            process.send_signal(signal.SIGCONT)
        else:
            process.kill()
            self._child = replace(self._child, killed=True)
            self._logger.warning("process_killed", child=self.name, pid=self.pid, why=action.why)

    def _log_hung(self, action: Action) -> None:
        stacks = self._vitals.stacks if self._vitals else None
        self._logger.error(
            "process_hangs",
            child=self.name,
            pid=self.pid,
            why=action.why,
            running=action.version,
            stacks=str(stacks),
        )
        if stacks is not None:
            with contextlib.suppress(OSError), open(stacks, "a") as file:
                file.write(f"\nprocess {self.pid}, {action.why} {action.version}\n")

    def _note_exit(self, code: int, now: float) -> Ending | None:
        beat, asked, lived_s = self._read_beat(), self._child.asked_at is not None, now - self._child.since
        hung = self._child.dumped_at is not None
        pid, self._process = self.pid, None
        self._failures = failures_after_exit(self._failures, lived_s, asked)
        served = beat is not None and beat.state in (BeatState.ACCEPTING, BeatState.DRAINING)
        delay_s = 0.0 if asked else restart_delay_s(self._failures, served)
        self._child = Child(self.name, self._child.role, running=False, since=now + delay_s)
        if beat is not None and self._vitals is not None:
            mark_dead(self._vitals.beat, beat.boot)
            self._end_log(self._vitals, beat.boot)
        if asked:
            self._logger.info("process_stopped", child=self.name, pid=pid, exit=_ending(code))
            return None
        self._logger.error(
            "process_ended",
            child=self.name,
            pid=pid,
            exit=_ending(code),
            running=[run.version for run in beat.runs] if beat else [],
            restart_in_s=round(delay_s, 3),
        )
        runs = beat.runs if beat is not None else ()
        running = (self._hanging,) if hung else tuple(dict.fromkeys(run.version for run in runs))
        boot = beat.boot if beat is not None else ""
        return Ending(self.name, self._child.role, boot, _ending(code), tuple(filter(None, running)), hung)

    def _end_log(self, vitals: Vitals, boot: str) -> None:
        """Say in a dead worker's log that it is complete, so that nobody waits for more of it."""
        if vitals.log is None:
            return
        try:
            write_end_marker(vitals.log, boot)
        except OSError as error:
            self._logger.error("log_end_not_written", child=self.name, reason=error.strerror)

    def _read_beat(self) -> BeatReading | None:
        if self._vitals is None or self._process is None:
            return None
        beat = read_beat(self._vitals.beat)
        return beat if beat is not None and beat.pid == self.pid else None


def reap_strangers(own: set[int]) -> None:
    """Collect processes that were left to us because we are the first one of a container."""
    while True:
        try:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        if ended is None or ended.si_pid in own:
            return
        os.waitpid(ended.si_pid, 0)


def _ending(code: int) -> str:
    try:
        return signal.Signals(-code).name if code < 0 else str(code)
    except ValueError:
        return str(code)
