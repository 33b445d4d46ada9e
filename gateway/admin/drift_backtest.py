"""Answers back-tests: reads stored windows day by day, in a thread, one back-test at a time."""

import asyncio
import time
from collections import Counter

from starlette.requests import Request

from driftgate.gateway.admin.drift_documents import BacktestAnswer, WouldNotify
from driftgate.gateway.admin.timeline import moment_of
from driftgate.gateway.dashboard.monitor_reader import monitor_book
from driftgate.gateway.errors import BadRequest, NotFound
from driftgate.gateway.layout import StateLayout
from driftgate.gateway.metrics.drift_status import read_drift_status
from driftgate.gateway.monitor.watched import drift_plan
from driftgate.gateway.state.desired import DesiredModel
from driftgate.monitoring.book.drift_keeper import OTHER_TESTS
from driftgate.monitoring.book.monitor_db import MonitorDb
from driftgate.monitoring.drift.budget import FalseAlarmBudget, Receiver, alarm_targets, parse_budget
from driftgate.monitoring.drift.plan import Judging
from driftgate.monitoring.drift.replay import Backtest, Replayed, backtest_version
from driftgate.monitoring.drift.status import DriftStatus, VersionFigure

DEFAULT_SINCE = "30d"


class BacktestReader:
    """Back-tests on request."""

    def __init__(self, layout: StateLayout) -> None:
        self._layout = layout
        self._one_at_a_time = asyncio.Lock()

    async def answer(self, request: Request, name: str, model: DesiredModel | None) -> BacktestAnswer:
        """Return what would have notified; raise BadRequest, or NotFound where there are no windows."""
        since_us = round(moment_of(request.query_params.get("since") or DEFAULT_SINCE).timestamp() * 1e6)
        budget = _budget(request.query_params.get("budget") or "1 in 4w")
        async with self._one_at_a_time:
            return await asyncio.to_thread(self._read, name, model, since_us, budget)

    def _read(
        self, name: str, model: DesiredModel | None, since_us: int, budget: FalseAlarmBudget
    ) -> BacktestAnswer:
        status = read_drift_status(self._layout) or DriftStatus()
        figures = [one for one in status.versions if one.model == name and one.reference_rows]
        if not figures:
            raise NotFound(f"{name} has no windows with a reference to go through")
        end_us = time.time_ns() // 1000 // status.window_us * status.window_us
        first_us = max(since_us, min(one.first_us for one in figures))
        target = _target(status, name, budget)
        windows, by_hours, found = 0, False, []
        with monitor_book(self._layout) as db:
            if db is None:
                raise NotFound("the monitor has kept no windows yet")
            for figure in figures:
                tested = _tested(db, figure, model, (max(first_us, figure.first_us), end_us, target))
                windows += tested.windows
                by_hours |= tested.by_hours
                found += [WouldNotify(figure.version, *alarm) for alarm in tested.alarms]
        return BacktestAnswer(
            model=name,
            first_us=first_us,
            end_us=end_us,
            windows=windows,
            judged_by="the hours of the other weeks" if by_hours else "the reference alone",
            expected_at_most=(end_us - first_us) / 1e6 / budget.every_s,
            notifications=tuple(sorted(found, key=lambda one: one.window_us)),
        )


def _tested(
    db: MonitorDb, figure: VersionFigure, model: DesiredModel | None, bounds: tuple[int, int, float]
) -> Backtest:
    wanted = figure.version, figure.reference_id
    reference = next(one for one in db.references(figure.model) if (one.version, one.id) == wanted)
    judging = drift_plan(model, figure.version).judging if model is not None else Judging()
    replayed = Replayed(
        figure.model, figure.version, figure.reference_id, reference.profile, *bounds, judging=judging
    )
    return backtest_version(replayed, db.pane_counts)


def _target(status: DriftStatus, name: str, budget: FalseAlarmBudget) -> float:
    """Return the evidence that notifies if all live tests share the budget, as if one receiver had all."""
    tests: Counter[str] = Counter()
    for one in status.versions:
        tests[one.model] += OTHER_TESTS + (1 if one.log10_pair_evidence is None else 2)
    try:
        everybody = {"": Receiver("", frozenset(tests), budget)}
        return alarm_targets(everybody, tests, status.window_us / 1e6)["", name]
    except ValueError as error:
        raise BadRequest(str(error)) from error


def _budget(text: str) -> FalseAlarmBudget:
    try:
        return parse_budget(text)
    except ValueError as error:
        raise BadRequest(str(error)) from error
