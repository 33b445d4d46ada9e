"""Evidence in a monitor: the same to the last bit whenever it is killed, and begun anew by those who may."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from driftgate.monitoring.alerts.alert import Finding, Rule
from driftgate.monitoring.drift.alarm import Phase
from driftgate.monitoring.drift.plan import DriftPlan, Judging
from driftgate.monitoring.drift.seasons import Watch
from driftgate.monitoring.reference.profile import encode_profile
from driftgate.monitoring.windows.observed import LATENCY

from harness.drift_logs import (
    MODEL,
    ROWS,
    VERSION,
    WINDOW_US,
    DriftMonitor,
    ages,
    first_window,
    people_profile,
    write_windows,
)
from harness.records import SlotLog


def drifting(rng: np.random.Generator, steady: int, drifted: int) -> list[list[int]]:
    """So many windows as the reference, then so many of older people."""
    return [ages(rng, drifts=number >= steady) for number in range(steady + drifted)]


def states(monitor: DriftMonitor) -> dict[str, bytes]:
    """The states of evidence, whatever was saved already."""
    return {key: encoded for key, encoded in monitor.states().items() if key.startswith("drift/")}


def found_by_drift(monitor: DriftMonitor) -> list[Finding]:
    """What is found of drift and of dependence."""
    found = monitor.follower.windows.findings()
    return [one for one in found if one.rule in (Rule.DRIFT, Rule.DEPENDENCE)]


def test_drift_is_told_with_features_onset_and_target(tmp_path: Path) -> None:
    """Steady windows find nothing; then the drifting features are named, with the window that it began in."""
    start, rng = first_window(), np.random.default_rng(1)
    log, monitor = SlotLog(tmp_path), DriftMonitor(tmp_path)
    write_windows([log], start, drifting(rng, 12, 0))
    monitor.step(start)
    assert monitor.figure().drift.phase is Phase.QUIET
    assert found_by_drift(monitor) == []
    write_windows([log], start + 13 * WINDOW_US, drifting(rng, 0, 6))
    monitor.step(start + 1)
    figure = monitor.figure()
    assert (figure.drift.phase, set(figure.drift.names)) == (Phase.DRIFTING, {"age", "income"})
    assert abs(figure.drift.onset_us - (start + 13 * WINDOW_US)) <= WINDOW_US
    assert figure.log10_target == pytest.approx(np.log10(28 * 86_400e6 / WINDOW_US * 4))
    (finding,) = found_by_drift(monitor)
    assert (finding.rule, finding.version, finding.arm) == (Rule.DRIFT, VERSION, "stable")
    assert {one.feature for one in finding.features} == {"age", "income"}


def test_evidence_of_four_workers_is_that_of_one(tmp_path: Path) -> None:
    """Which worker wrote a record changes nothing, to the last bit."""
    start, windows = first_window(), drifting(np.random.default_rng(2), 6, 4)
    found = []
    for name, workers in (("one", 1), ("four", 4)):
        logs = [SlotLog(tmp_path / name, slot) for slot in range(workers)]
        monitor = DriftMonitor(tmp_path / name)
        write_windows(logs, start, windows)
        monitor.step(start)
        found.append(states(monitor))
    assert found[0] == found[1]


@pytest.mark.parametrize("archive_every_s", [0.0, 1e9])
def test_a_killed_monitor_goes_on_to_the_last_bit(tmp_path: Path, archive_every_s: float) -> None:
    """Killed after any window, the next monitor has the evidence that one without a kill has."""
    start, windows = first_window(), drifting(np.random.default_rng(3), 8, 4)
    lives: dict[str, DriftMonitor] = {}
    for name in ("whole", "killed"):
        log = SlotLog(tmp_path / name)
        lives[name] = DriftMonitor(tmp_path / name, archive_every_s=archive_every_s)
        for number, window in enumerate(windows):
            write_windows([log], start + 2 * number * WINDOW_US, [window])
            lives[name].step(start + number)
            if name == "killed":
                lives[name].kill()
                lives[name] = DriftMonitor(tmp_path / name, archive_every_s=archive_every_s)
                lives[name].step(start + number)
    assert states(lives["killed"]) == states(lives["whole"])
    killed, whole = lives["killed"].figure(), lives["whole"].figure()
    assert killed == whole
    assert killed.drift.phase is Phase.DRIFTING


def test_observed_drift_is_shown_and_told_nobody(tmp_path: Path) -> None:
    """Who is not armed has evidence and no finding."""
    start = first_window()
    monitor = DriftMonitor(tmp_path, plan=DriftPlan())
    write_windows([SlotLog(tmp_path)], start, drifting(np.random.default_rng(4), 2, 5))
    monitor.step(start)
    figure = monitor.figure()
    assert (figure.watch, figure.drift.phase) == (Watch.OBSERVING, Phase.DRIFTING)
    assert found_by_drift(monitor) == []


def test_an_acknowledgement_begins_anew_and_drift_comes_again(tmp_path: Path) -> None:
    """Windows before it count no more; what goes on drifting is found again."""
    start, rng = first_window(), np.random.default_rng(5)
    log, monitor = SlotLog(tmp_path), DriftMonitor(tmp_path)
    write_windows([log], start, drifting(rng, 0, 5))
    monitor.step(start)
    monitor.plan = DriftPlan(notifies=True, forget_us=start + 10 * WINDOW_US)
    monitor.step(start + 2_000_000)
    assert monitor.figure().drift.phase is Phase.QUIET
    assert monitor.figure().streams[0].windows == 0
    monitor.kill()
    again = DriftMonitor(tmp_path, plan=monitor.plan)
    write_windows([log], start + 6 * WINDOW_US, drifting(rng, 0, 3))
    again.step(start + 4_000_000)
    assert again.figure().streams[0].windows == 0
    write_windows([log], start + 10 * WINDOW_US, drifting(rng, 0, 3))
    again.step(start + 6_000_000)
    assert again.figure().drift.phase is Phase.DRIFTING


def test_another_way_of_judging_begins_anew(tmp_path: Path) -> None:
    """Evidence against one band says nothing about another."""
    start = first_window()
    monitor = DriftMonitor(tmp_path)
    write_windows([SlotLog(tmp_path)], start, drifting(np.random.default_rng(6), 0, 5))
    monitor.step(start)
    monitor.plan = DriftPlan(notifies=True, judging=Judging(tolerance=0.1))
    monitor.step(start + 2_000_000)
    assert (monitor.figure().drift.phase, monitor.figure().reason) == (
        Phase.QUIET,
        "no window is complete since evidence began",
    )


def test_hours_are_learnt_where_somebody_arms_with_them(tmp_path: Path) -> None:
    """What every hour was like in weeks of windows judges from then on, and is kept over a restart."""
    start, rng, week_us = first_window(), np.random.default_rng(14), 7 * 86_400_000_000
    log, monitor = SlotLog(tmp_path), DriftMonitor(tmp_path, plan=DriftPlan())
    for week in range(3):  # drifted against the reference, but always so at this hour
        write_windows([log], start + week * week_us, drifting(rng, 0, 30))
        monitor.step(start + week)
    assert (monitor.figure().watch, monitor.figure().drift.phase) == (Watch.PROPOSED, Phase.DRIFTING)
    end_us = start + 2 * week_us + 40 * WINDOW_US
    monitor.plan = DriftPlan(notifies=True, forget_us=end_us, judging=Judging(learnt=(start, end_us)))
    for second in (2, 4):
        monitor.step(start + second * 1_000_000)
    assert (monitor.figure().judged_by_hours, monitor.figure().first_us) == (True, start)
    write_windows([log], start + 3 * week_us, drifting(rng, 0, 6))
    monitor.step(start + 6_000_000)
    assert monitor.figure().streams[0].windows == 6
    assert monitor.figure().drift.phase is Phase.QUIET
    monitor.kill()
    again = DriftMonitor(tmp_path, plan=monitor.plan)
    assert again.figure() == monitor.figure()
    write_windows([log], start + 3 * week_us + 10 * WINDOW_US, drifting(rng, 6, 0))
    again.step(start + 8_000_000)
    assert again.figure().drift.phase is Phase.DRIFTING


def test_a_new_reference_ends_drift(tmp_path: Path) -> None:
    """Windows that are counted with another reference are another stream."""
    start, rng = first_window(), np.random.default_rng(7)
    log, monitor = SlotLog(tmp_path), DriftMonitor(tmp_path)
    write_windows([log], start, drifting(rng, 0, 5))
    monitor.step(start)
    assert monitor.figure().drift.phase is Phase.DRIFTING
    monitor.follower.windows.put_in_force(MODEL, VERSION, people_profile(seed=8))
    write_windows([log], start + 10 * WINDOW_US, drifting(rng, 4, 0))
    monitor.step(start + 2_000_000)
    assert monitor.figure().drift.phase is Phase.QUIET
    monitor.kill()
    again = DriftMonitor(tmp_path)
    assert again.figure() == monitor.figure()


def test_latency_comes_from_traffic_and_evidence_goes_on(tmp_path: Path) -> None:
    """Training rows have none: nothing is said of it before; what was found with the others still holds."""
    start, rng = first_window(), np.random.default_rng(9)
    log, monitor = SlotLog(tmp_path), DriftMonitor(tmp_path)
    write_windows([log], start, drifting(rng, 8, 2))
    monitor.step(start)
    before, windows = monitor.figure(), monitor.follower.windows
    assert evidence_of_latency(monitor) is None
    completion = windows.completion_of(windows.references()[0], start, start + 10 * WINDOW_US)
    while completion.step():
        pass
    profile = completion.get()
    (old, new) = windows.references()[0].profile.feature(LATENCY), profile.feature(LATENCY)
    assert old is not None
    assert new is not None
    assert (old.rows, new.rows) == (0, completion.rows)
    assert completion.rows >= 10 * ROWS
    windows.put_in_force(MODEL, VERSION, encode_profile(profile))
    write_windows([log], start + 12 * WINDOW_US, drifting(rng, 0, 2))
    monitor.step(start + 2_000_000)
    after = monitor.figure()
    assert after.reference_id != before.reference_id
    assert after.drift.since_us == before.drift.since_us > 0
    assert after.streams[0].windows > before.streams[0].windows
    assert evidence_of_latency(monitor) is not None
    monitor.kill()
    assert DriftMonitor(tmp_path).figure() == after


def evidence_of_latency(monitor: DriftMonitor) -> float | None:
    """What is told of latency."""
    (found,) = [one for one in monitor.figure().streams[0].features if one.name == LATENCY]
    return found.log10_evidence


def test_evidence_over_time_is_kept(tmp_path: Path) -> None:
    """After each window the evidence of every feature is in the book, for those who look back."""
    start = first_window()
    monitor = DriftMonitor(tmp_path)
    write_windows([SlotLog(tmp_path)], start, drifting(np.random.default_rng(9), 3, 3))
    monitor.step(start)
    kept = monitor.db.evidence(MODEL, (0, 2**62))
    assert [one.key.start_us - start for one in kept] == [number * WINDOW_US for number in range(6)]
    assert kept[-1].log10[0] > kept[2].log10[0]


def test_a_damaged_state_begins_anew_and_says_so(tmp_path: Path) -> None:
    """A state that cannot be read costs its evidence, not the monitor."""
    start = first_window()
    monitor = DriftMonitor(tmp_path)
    log = SlotLog(tmp_path)
    write_windows([log], start, drifting(np.random.default_rng(10), 0, 4))
    monitor.follower.finish(start, 5)
    with monitor.db._transaction():
        monitor.db._db.execute("UPDATE detectors SET data = x'c1' WHERE name LIKE 'drift/fraud%'")
    monitor.kill()
    again = DriftMonitor(tmp_path)
    assert again.figure().drift.phase is Phase.QUIET
    assert any("begins anew" in problem for problem in again.problems)


def test_a_lost_book_is_made_anew_with_the_same_evidence(tmp_path: Path) -> None:
    """Without monitor.db the logs that are there give the same evidence again."""
    start = first_window()
    log = SlotLog(tmp_path)
    monitor = DriftMonitor(tmp_path)
    write_windows([log], start, drifting(np.random.default_rng(11), 5, 3))
    monitor.step(start)
    before = states(monitor)
    monitor.kill()
    for path in tmp_path.glob("monitor.db*"):
        path.unlink()
    shutil.rmtree(tmp_path / "archive")
    again = DriftMonitor(tmp_path)
    again.step(start + 1)
    assert states(again) == before


def test_a_full_disk_costs_no_evidence(tmp_path: Path) -> None:
    """While nothing can be written evidence grows on in memory, and it is said; later all is written."""
    start, rng = first_window(), np.random.default_rng(12)
    log = SlotLog(tmp_path)
    monitor = DriftMonitor(tmp_path)
    write_windows([log], start, drifting(rng, 4, 0))
    monitor.step(start)
    monitor.db._db.execute("PRAGMA max_page_count = 1")
    write_windows([log], start + 5 * WINDOW_US, drifting(rng, 0, 40))
    monitor.step(start + 1)
    assert monitor.figure().drift.phase is Phase.DRIFTING
    assert any("cannot be written" in problem for problem in monitor.problems)
    monitor.db._db.execute("PRAGMA max_page_count = 1073741823")
    monitor.follower.finish(start + 2, 5)
    monitor.kill()
    again = DriftMonitor(tmp_path)
    assert states(again) == states(monitor)


def test_a_clock_that_steps_back_changes_no_evidence(tmp_path: Path) -> None:
    """An hour of rows for windows that are complete is late: counted as such, and judged by nobody."""
    start, rng = first_window(), np.random.default_rng(13)
    monitor_log, monitor = SlotLog(tmp_path), DriftMonitor(tmp_path)
    write_windows([monitor_log], start + 3600_000_000, drifting(rng, 6, 0))
    monitor.step(start)
    before = monitor.figure()
    write_windows([SlotLog(tmp_path)], start, drifting(rng, 0, 6))
    monitor.step(start + 1)
    assert monitor.figure().drift == before.drift
    assert monitor.figure().streams[0].features == before.streams[0].features
    assert monitor.follower.windows.status(start).late_rows > 0
