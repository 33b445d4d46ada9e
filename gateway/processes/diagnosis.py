"""What is wrong with an installation and what to do about it: judgements on what was looked up. Pure."""

import stat
from collections.abc import Iterable, Mapping
from typing import Literal

import msgspec

from driftgate.gateway.state.beat import BeatReading, BeatState
from driftgate.monitoring.book.follower_status import FollowerStatus

Level = Literal["ok", "note", "problem"]

LEAST_FREE_BYTES = 2**30
LEAST_FREE_SHARE = 0.05
LEAST_DESCRIPTORS = 1024
MOST_LAG_S = 60.0
MOST_SILENT_S = 30.0
FRESH_S = 6.0
EARLIEST_US = 1_767_225_600_000_000
"""The first of January 2026: a clock before it has not been set."""

MOST_AHEAD_S = 5.0


class Finding(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one check found; `advice` says what to do where something is to be done."""

    check: str
    level: Level
    text: str
    advice: str = ""


def judge_packages(missing: Iterable[str], versions: Mapping[str, str]) -> Finding:
    """Judge which of the packages that a server needs are installed."""
    gone = ", ".join(sorted(missing))
    if gone:
        return Finding("packages", "problem", f"missing: {gone}", "pip install 'driftgate[server]'")
    return Finding("packages", "ok", ", ".join(f"{name} {version}" for name, version in versions.items()))


def judge_version(running: str | None, installed: str) -> Finding:
    """Judge whether what runs is what is installed; None: nothing answers."""
    if running is None:
        return Finding(
            "predictions", "problem", "the prediction port does not answer", "look at the gateway's log"
        )
    if running != installed:
        text = f"version {running} runs, {installed} is installed"
        return Finding("predictions", "note", text, "restart the gateway when it suits you")
    return Finding("predictions", "ok", f"version {running} answers")


def judge_permissions(modes: Mapping[str, int]) -> Finding:
    """Judge the modes of the state directory and of files with secrets in it, by name."""
    open_to_others = [name for name, mode in modes.items() if stat.S_IMODE(mode) & 0o077]
    if not open_to_others:
        return Finding("permissions", "ok", "secrets can be read by their owner alone")
    named = ", ".join(sorted(open_to_others))
    return Finding(
        "permissions", "problem", f"other users can read or enter {named}", f"chmod go-rwx {named}"
    )


def judge_disk(free_bytes: int, total_bytes: int) -> Finding:
    """Judge the space on the disk of the state directory."""
    text = f"{_size(free_bytes)} of {_size(total_bytes)} are free"
    if free_bytes >= min(LEAST_FREE_BYTES, total_bytes * LEAST_FREE_SHARE):
        return Finding("disk", "ok", text)
    return Finding(
        "disk", "problem", text, "free some: predictions go on, but records are lost and no version is loaded"
    )


def judge_clock(now_us: int, newest_file_us: int) -> Finding:
    """Judge the clock by what it wrote on the newest file of the state."""
    if now_us < EARLIEST_US:
        return Finding(
            "clock", "problem", "the clock has not been set", "start a time service, such as chrony"
        )
    ahead_s = (newest_file_us - now_us) / 1e6
    if ahead_s > MOST_AHEAD_S:
        return Finding(
            "clock",
            "problem",
            f"the state was written {ahead_s:.0f} s from now: the clock has been set back",
            "records of that time are out of order; check the time service",
        )
    return Finding("clock", "ok", "the clock agrees with the state")


def judge_descriptors(soft_limit: int) -> Finding:
    """Judge how many files and connections a process may have open."""
    if soft_limit >= LEAST_DESCRIPTORS:
        return Finding("descriptors", "ok", f"a process may open {soft_limit} files and connections")
    return Finding(
        "descriptors",
        "problem",
        f"a process may open {soft_limit} files and connections only",
        f"ulimit -n {LEAST_DESCRIPTORS} or more, or LimitNOFILE= of the service",
    )


def judge_beat(name: str, beat: BeatReading | None, now_ns: int) -> Finding:
    """Judge whether a process of a running gateway turns its loop."""
    if beat is None:
        return Finding(name, "problem", "it has never said that it runs", "look at the gateway's log")
    if beat.state is BeatState.DEAD:
        return Finding(
            name, "problem", "it has ended", "the supervisor starts it again; its log says why it ended"
        )
    if not beat.is_fresh(now_ns, FRESH_S):
        age_s = (now_ns - beat.heartbeat_ns) / 1e9
        return Finding(
            name,
            "problem",
            f"its loop stands still since {age_s:.0f} s (process {beat.pid})",
            "the supervisor replaces it; the stacks are in the state directory",
        )
    seen = f", generation {beat.generation}" if beat.generation else ""  # the monitor follows logs alone
    return Finding(name, "ok", f"process {beat.pid}, {beat.state.name.lower()}{seen}")


def judge_generations(in_force: Mapping[int, int], newest: int) -> Finding:
    """Judge whether all slots that accept have the newest generation in force."""
    behind = {slot: generation for slot, generation in in_force.items() if generation < newest}
    if not behind:
        return Finding("generation", "ok", f"generation {newest} is in force everywhere")
    slots = ", ".join(f"slot {slot} at {generation}" for slot, generation in sorted(behind.items()))
    return Finding(
        "generation",
        "problem",
        f"the newest is {newest}, but {slots}",
        "`driftgate models` shows what cannot load",
    )


def judge_log(counts: Mapping[str, int], enabled: bool) -> list[Finding]:
    """Judge what the prediction log has lost."""
    if not enabled:
        return [Finding("log", "note", "predictions are not recorded", "set log.enabled to record them")]
    dropped = {
        name.removeprefix("dropped_rows_"): n
        for name, n in counts.items()
        if name.startswith("dropped_") and n
    }
    found = [_dropped(dropped, counts.get("written_rows", 0))]
    if counts.get("failed_writes"):
        found.append(
            Finding(
                "log", "problem", f"{counts['failed_writes']} writes failed", "look at the disk of the state"
            )
        )
    return found


def judge_monitor(status: FollowerStatus, now_us: int) -> list[Finding]:
    """Judge how far the monitor is behind the log, and whether it can write what it reads."""
    found = []
    silent_s = (now_us - status.at_us) / 1e6
    if silent_s > MOST_SILENT_S:
        text = f"it has not said for {silent_s:.0f} s how it fares"
        found.append(Finding("monitor", "problem", text, "look at its log, and at the disk of the state"))
    if status.lag_s > MOST_LAG_S:
        text = f"it is {status.lag_s:.0f} s behind"
        found.append(Finding("monitor", "problem", text, "give it a core, or look at its log"))
    if status.unwritten_s:
        text = f"monitor.db or the archive has not been written for {status.unwritten_s:.0f} s; the logs wait"
        found.append(Finding("archive", "problem", text, "look at the disk of the state"))
    if status.damaged_bytes:
        text = f"{status.damaged_bytes} bytes of the logs were damaged"
        found.append(Finding("archive", "problem", text, "look at the disk of the state"))
    return found


def judge_exposure(hosts: Mapping[str, bool], mode: str, has_admin: bool) -> Finding:
    """Judge who can reach what; `hosts` maps the address of each port to whether it is loopback."""
    public = ", ".join(sorted(host for host, loopback in hosts.items() if not loopback))
    if not public:
        return Finding("access", "ok", f"reachable from this machine alone; tokens: {mode}")
    if mode == "off":
        return Finding(
            "access",
            "problem",
            f"reachable from other machines on {public}, and nobody needs a token",
            "set auth.mode to control or all, and make tokens with `driftgate token create`",
        )
    if not has_admin:
        return Finding(
            "access", "problem", "no token has the scope admin", "driftgate token create --scope admin NAME"
        )
    return Finding("access", "ok", f"reachable from other machines on {public}; tokens: {mode}")


def _size(count_bytes: int) -> str:
    return f"{count_bytes / 2**30:.1f} GiB" if count_bytes >= 2**30 else f"{count_bytes / 2**20:.0f} MiB"


def _dropped(dropped: Mapping[str, int], written: int) -> Finding:
    if not dropped:
        return Finding("log", "ok", f"{written} records written, none lost")
    reasons = ", ".join(f"{count} for {reason}" for reason, count in sorted(dropped.items()))
    return Finding(
        "log",
        "problem",
        f"{sum(dropped.values())} records were lost: {reasons}",
        "raise log.quota_bytes or log.buffer_rows, free the disk, or set log.when_full to refuse",
    )
