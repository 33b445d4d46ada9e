"""Measures what the documentation says of the drift detector.

`PYTHONPATH=tests python -m harness.run_lengths` takes some minutes and prints tables.
The tests do the same on fewer streams.
"""

from collections.abc import Iterable, Sequence

import numpy as np

from driftgate.monitoring.drift.backtest import StoredWindows, backtest
from driftgate.monitoring.drift.bets import bets_against
from driftgate.monitoring.drift.dependence import pair_band, pair_offsets, pairs_of
from driftgate.monitoring.drift.e_detector import EDetector
from driftgate.monitoring.drift.seasons import SeasonalReference, hour_of_week, judged_by_hour
from driftgate.monitoring.reference.band import reference_band

from harness.seasons import FEATURES, MONDAY_US, OFFSETS, WINDOW_US, week_of_shares, weeks_of_counts
from harness.streams import (
    SIXTEENTHS,
    Array,
    Shares,
    drawn,
    drifting,
    first_alarm,
    offsets_of,
    reference_bets,
    run,
    sixteenths_shifted,
)

TARGET = 40_320.0
STREAMS = 25
TWENTY = [np.append(SIXTEENTHS, 0.0)] * 20


def main() -> None:
    """Print all tables."""
    rng = np.random.default_rng(1)
    print("\nRun length without drift: alarms in 100,000 windows, target 500\n")
    table(("rows a window", "alarms", "allowed"), quiet_rows(rng))
    print("\nStreams of 300 windows that alarm, of 400, each with a reference of its own, target 10,000\n")
    table(("reference rows", "rows a window", "alarms"), reference_rows(rng))
    print("\nWindows until an alarm, target 40,320: median (worst) of 25 streams; 1 of 20 features drifts\n")
    table(("drift", "reference rows", "rows a window", "windows", "only it named"), delays(rng))
    print("\nA correlation that goes from 0 to 0.5 among 45 pairs, 100 rows a window\n")
    table(("windows",), [(spread([correlation(rng) for _ in range(STREAMS)]),)])
    print("\nTwenty features with seasons, two weeks learnt, windows of five minutes\n")
    table(("rows a window", "notifications in 26 weeks", "minutes until +0.25 sigma is found"), seasons(rng))


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table as Markdown."""
    print("| " + " | ".join(heads) + " |\n|" + "---|" * len(heads))
    for row in rows:
        print("| " + " | ".join(map(str, row)) + " |", flush=True)


def spread(delays: Sequence[int | None]) -> str:
    """The median and the worst of delays; None was never found."""
    known = sorted(delay for delay in delays if delay is not None)
    lost = len(delays) - len(known)
    if lost > len(delays) // 2:
        return f"not found in {lost} of {len(delays)}"
    return f"{int(np.median(known))} ({known[-1]})" + (f", {lost} not found" if lost else "")


def quiet_rows(rng: np.random.Generator) -> Iterable[Sequence[object]]:
    """Alarms of streams without drift, and of one at the edge of the band."""
    for rows in (1, 100, 500, 10_000):
        bets = reference_bets(rng, TWENTY, 10_000)
        found = run(bets, offsets_of(TWENTY), drawn(rng, TWENTY, rows, 100_000), rows, 500.0)
        yield rows, len(found.alarms), 200
    edge = 0.1 + 0.0098 * (-1.0) ** np.arange(10)
    offsets = np.array([0, 10, 20, 30])
    bets = bets_against(reference_band(np.full(30, 1_000), offsets))
    stream = np.tile(drawn(rng, [edge], 200, 100_000), 3)
    yield "200, shares at the edge", len(run(bets, offsets, stream, 200, 500.0).alarms), 200


def reference_rows(rng: np.random.Generator) -> Iterable[Sequence[object]]:
    """Streams that alarm by the size of the reference."""
    for size in (100, 1_000, 10_000):
        for rows in (100, 1_000):
            alarms = 0
            for _ in range(400):
                bets = reference_bets(rng, TWENTY, size)
                stream = drawn(rng, TWENTY, rows, 300)
                alarms += bool(first_alarm(bets, offsets_of(TWENTY), stream, rows, 10_000.0).alarms)
            yield size, rows, alarms


def delays(rng: np.random.Generator) -> Iterable[Sequence[object]]:
    """Delays by the kind of drift, reference and rows."""
    drifts = {
        f"shift of {sigma} sigma": np.append(sixteenths_shifted(sigma), 0.0)
        for sigma in (0.1, 0.25, 0.5, 1.0)
    }
    drifts |= {
        f"{share:.1%} nulls": np.append(SIXTEENTHS * (1 - share), share) for share in (0.003, 0.01, 0.05)
    }
    for name, changed in drifts.items():
        for size in (10_000, 50_000):
            for rows in (100, 1_000):
                found = [delay(rng, changed, size, rows) for _ in range(STREAMS)]
                alone = sum(names == (3,) for _, names in found)
                yield name, size, rows, spread([late for late, _ in found]), f"{alone} of {STREAMS}"


def delay(
    rng: np.random.Generator, changed: Array, size: int, rows: int
) -> tuple[int | None, tuple[int, ...]]:
    """Windows until a change after 100 windows is found, of at most 1,000; and the features named."""
    shares: Shares = TWENTY
    bets = reference_bets(rng, shares, size)
    stream = drifting(rng, shares, {3: changed}, (rows, 100, 1_000))
    found = first_alarm(bets, offsets_of(shares), stream, rows, TARGET)
    return (found.alarms[0] - 99 if found.alarms else None), found.features


def correlation(rng: np.random.Generator) -> int | None:
    """Windows until a new correlation is found."""

    def matrices(rows: int, windows: int, strength: float) -> Array:
        values = rng.normal(size=(windows, rows, 10))
        values[..., 6] = strength * values[..., 2] + np.sqrt(1 - strength**2) * values[..., 6]
        above = (values >= 0).astype(np.int64)
        return np.asarray(np.einsum("wri,wrj->wij", above, above))

    bets = bets_against(pair_band(matrices(10_000, 1, 0.0)[0], 10_000))
    detector, each = EDetector(pair_offsets(10), bets.open), np.full(45, 100)
    for window, matrix in enumerate([*matrices(100, 100, 0.0), *matrices(100, 100, 0.5)]):
        detector.update(bets, pairs_of(matrix), each, window)
        if detector.evidence().model >= TARGET:
            return window - 99
    return None


def seasons(rng: np.random.Generator) -> Iterable[Sequence[object]]:
    """Notifications of steady seasons, and how soon a shift on top is found."""
    for rows in (500, 5_000, 50_000):
        means = week_of_shares(rng)
        reference = SeasonalReference(OFFSETS)
        each = np.full(FEATURES, rows)
        for place, one in enumerate(weeks_of_counts(rng, means, rows, 2)):
            reference.update(hour_of_week(MONDAY_US + place * WINDOW_US), one, each)
        quiet = notified(reference, weeks_of_counts(rng, means, rows, 26), rows)
        found = notified(reference, weeks_of_counts(rng, means, rows, 2, (5, 0.25)), rows)
        began = MONDAY_US + 7 * 86_400_000_000
        yield rows, len(quiet), (found[0] + WINDOW_US - began) // 60_000_000 if found else "not found"


def notified(reference: SeasonalReference, counts: Array, rows: int) -> list[int]:
    """When notifications would have been sent, for one in four weeks."""
    starts = MONDAY_US + np.arange(len(counts)) * WINDOW_US
    windows = StoredWindows(starts, counts, np.full((len(counts), FEATURES), rows))
    open_bets, bets_at = judged_by_hour(reference)
    return [one.window_us for one in backtest(windows, EDetector(OFFSETS, open_bets), bets_at, TARGET / 5)]


if __name__ == "__main__":
    main()
