"""The false-alarm budget holds on streams without drift, and drift is found on the others. All seeded."""

from dataclasses import replace

import numpy as np
import pytest

from driftgate.monitoring.drift.alarm import Phase
from driftgate.monitoring.drift.bets import bets_against
from driftgate.monitoring.drift.plan import DriftPlan, Judging, Thin
from driftgate.monitoring.drift.version_drift import StreamKey, VersionDrift
from driftgate.monitoring.reference.band import reference_band
from driftgate.monitoring.reference.sample import ReferenceSample, row_priorities
from driftgate.monitoring.windows.cell_coder import CellCoder
from driftgate.monitoring.windows.cells import NumericCells, numeric_cells
from driftgate.monitoring.windows.observed import Observed
from driftgate.monitoring.windows.pane import PANE_US, Pane
from driftgate.monitoring.windows.pane_fold import PaneFold
from driftgate.monitoring.windows.thinned_rows import RowKeys

from harness.streams import (
    SIXTEENTHS,
    drawn,
    drifting,
    first_alarm,
    offsets_of,
    reference_bets,
    run,
    sixteenths_shifted,
)

FOUR_WEEKS_OF_MINUTES = 40_320.0
RARE = 1 / np.arange(1, 101) ** 1.5
SHAPES = {
    "even": [SIXTEENTHS] * 10,
    "rare values": [RARE / RARE.sum()] * 3,
    "two values": [np.array([0.999, 0.001]), np.array([0.5, 0.5]), np.array([1 - 1e-5, 1e-5])] * 5,
    "a heavy tie": [np.array([0.9, *np.full(10, 0.01)])] * 10,
}


@pytest.mark.parametrize("rows", [100, 500, 10_000])
def test_the_run_length_to_a_false_alarm_is_at_least_the_target(rows: int) -> None:
    """20 features, 20,000 windows: with a target of 500 at most one alarm in 500 windows."""
    rng = np.random.default_rng(rows)
    shares = [SIXTEENTHS] * 20
    bets = reference_bets(rng, shares, 10_000)
    found = run(bets, offsets_of(shares), drawn(rng, shares, rows, 20_000), rows, 500.0)
    assert len(found.alarms) * 500 <= 20_000


@pytest.mark.parametrize("shares", SHAPES.values(), ids=SHAPES.keys())
@pytest.mark.parametrize("reference_rows", [30, 1_000, 10_000])
def test_a_sampled_reference_alarms_nobody(reference_rows: int, shares: list[np.ndarray]) -> None:
    """None of 40 streams of 300 windows of 1 to 2,000 rows alarms, however small the reference."""
    rng = np.random.default_rng(reference_rows)
    for stream in range(40):
        rows = (1, 100, 2_000)[stream % 3]
        bets = reference_bets(rng, shares, reference_rows)
        windows = drawn(rng, shares, rows, 300)
        assert run(bets, offsets_of(shares), windows, rows, 10_000.0).alarms == ()


def test_the_budget_holds_where_shares_are_at_the_edge_of_the_band() -> None:
    """The worst that the band allows, with features that move together, still keeps the run length."""
    rng = np.random.default_rng(8)
    band = reference_band(np.array([1_000] * 10), np.array([0, 10]))
    shares = 0.1 + 0.0098 * (-1.0) ** np.arange(10)
    assert ((shares >= band.low) & (shares <= band.high)).all()
    one = drawn(rng, [shares], 200, 20_000)
    bets = bets_against(reference_band(np.array([1_000] * 30), np.array([0, 10, 20, 30])))
    found = run(bets, np.array([0, 10, 20, 30]), np.tile(one, 3), 200, 200.0)
    assert len(found.alarms) * 200 <= 20_000


@pytest.mark.parametrize(
    ("sigma", "rows", "windows"), [(0.1, 1_000, 80), (0.25, 100, 60), (0.25, 1_000, 6), (1.0, 100, 3)]
)
def test_a_shift_is_found_named_and_dated(sigma: float, rows: int, windows: int) -> None:
    """One of 20 features shifts; only it is named, within so many windows, and its onset is near."""
    rng = np.random.default_rng(11)
    shares = [SIXTEENTHS] * 20
    bets = reference_bets(rng, shares, 50_000)
    changed = {7: sixteenths_shifted(sigma)}
    stream = drifting(rng, shares, changed, (rows, 200, windows))
    found = first_alarm(bets, offsets_of(shares), stream, rows, FOUR_WEEKS_OF_MINUTES)
    assert found.features == (7,)
    assert found.alarms[0] >= 200
    assert abs(found.detector.moved(7).onset_us - 200) <= max(5, windows // 2)


@pytest.mark.parametrize(("share", "rows", "windows"), [(0.003, 1_000, 15), (0.01, 100, 40), (0.3, 100, 1)])
def test_a_surge_of_nulls_or_new_values_is_found(share: float, rows: int, windows: int) -> None:
    """A cell that the reference never hit, by 0.3 %, 1 % or 30 % of the rows: only its feature is named."""
    rng = np.random.default_rng(12)
    never = np.append(SIXTEENTHS, 0.0)
    shares = [never] * 20
    bets = reference_bets(rng, shares, 50_000)
    surge = np.append(SIXTEENTHS * (1 - share), share)
    stream = drifting(rng, shares, {3: surge}, (rows, 200, windows))
    found = first_alarm(bets, offsets_of(shares), stream, rows, FOUR_WEEKS_OF_MINUTES)
    assert found.features == (3,)
    assert found.detector.moved(3).cell == 16


def counts_of(cells: NumericCells, values: np.ndarray) -> np.ndarray:
    """How many of each window's values are in each cell: int[windows, cells] of float[windows, rows]."""
    codes = np.searchsorted(np.array(cells.thresholds), values, side="right") + 1
    return np.stack([np.bincount(one, minlength=cells.size) for one in codes])


@pytest.mark.parametrize(
    ("shift", "spoilt", "found_within"),
    [(1.0, 1e6, 3), (0.0, 1e6, None), (2.0, -999.0, 2), (0.0, -999.0, None)],
    ids=["outlier and shift", "outlier alone", "sentinel and shift", "sentinel alone"],
)
def test_absurd_values_hide_no_shift_and_make_none(
    shift: float, spoilt: float, found_within: int | None
) -> None:
    """One outlier of 1e6, or 1 % of -999 as in the reference: a shift is found, and nothing without one."""
    rng = np.random.default_rng(13)
    reference, values = rng.normal(size=20_000), rng.normal(size=(300, 500))
    values[200:] += shift
    if spoilt < 0:
        reference[::100] = spoilt
        values[:, ::100] = spoilt
    else:
        values[250, 0] = spoilt
    cells = numeric_cells(reference)
    offsets = np.array([0, cells.size])
    bets = bets_against(reference_band(counts_of(cells, reference[None])[0], offsets))
    found = first_alarm(bets, offsets, counts_of(cells, values), 500, 10_000.0)
    assert bool(found.alarms) == (found_within is not None)
    if found_within is not None:
        assert 200 <= found.alarms[0] <= 200 + found_within


def test_thresholds_cry_wolf_where_evidence_does_not() -> None:
    """20 features, windows of 100 rows, no drift: PSI of 0.1 in most windows, evidence in none."""
    rng = np.random.default_rng(14)
    shares = [np.full(10, 0.1)] * 20
    reference = drawn(rng, shares, 10_000, 1)[0]
    windows = drawn(rng, shares, 100, 500)
    p = (reference + 0.5) / 10_005
    q = (windows + 0.5) / 105
    index = ((q - p) * np.log(q / p)).reshape(500, 20, 10).sum(axis=2)
    assert (index >= 0.1).any(axis=1).mean() > 0.9
    bets = bets_against(reference_band(reference, offsets_of(shares)))
    assert run(bets, offsets_of(shares), windows, 100, 10_000.0).alarms == ()


SESSIONS, EACH = 15, 20


def window_of_sessions(rng: np.random.Generator, fold: PaneFold, coder: CellCoder, shift: float) -> Pane:
    """A window of sessions of rows that are nearly the same; one of 20 features is shifted."""
    values = np.repeat(rng.normal(size=(SESSIONS, 20)), EACH, axis=0)
    values += rng.normal(size=values.shape) / 50
    values[:, 7] += shift
    columns = [Observed(f"x{place}", "input", one.astype(np.float32)) for place, one in enumerate(values.T)]
    sessions = np.repeat(rng.integers(0, 2**63, SESSIONS).astype(np.uint64), EACH)
    keys = RowKeys(sessions, rng.permutation(SESSIONS * EACH).astype(np.uint64))
    pane = Pane.empty(fold.shape)
    fold.update(pane, replace(coder.code(columns, SESSIONS * EACH), keys=keys))
    return pane


def test_rows_that_follow_from_each_other_count_once() -> None:
    """Sessions of 20 rows cry wolf at once; one row of each, or windows as one, do not, and find a shift."""
    rng = np.random.default_rng(15)
    sample, values = ReferenceSample(), rng.normal(size=(20, 50_000)).astype(np.float32)
    columns = [Observed(f"x{place}", "input", one) for place, one in enumerate(values)]
    sample.update(columns, row_priorities(0, 50_000))
    profile = sample.get("training")
    fold, coder = PaneFold(profile), CellCoder(profile)
    thins: tuple[Thin, ...] = ("none", "window", "entity")
    plans = {thin: DriftPlan(judging=Judging(thin=thin)) for thin in thins}
    drifts = {thin: VersionDrift(profile, plan, lambda segment: None) for thin, plan in plans.items()}
    alarmed: dict[Thin, int] = {}
    for number in range(160):
        pane = window_of_sessions(rng, fold, coder, 1.5 * (number >= 120))
        for thin, drift in drifts.items():
            drift.take({StreamKey("stable", ""): pane}, number * PANE_US)
            drift.look(FOUR_WEEKS_OF_MINUTES, number * PANE_US)
            if thin not in alarmed and Phase.DRIFTING in (drift.alarm.phase, drift.pair_alarm.phase):
                alarmed[thin] = number
    assert alarmed["none"] < 10
    assert 120 <= alarmed["entity"] < 130
    assert 120 <= alarmed["window"] < 160
