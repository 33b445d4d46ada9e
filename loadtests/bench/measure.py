"""What is measured, and what follows from it: medians over rounds, ratios within a round, goals. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal, NamedTuple

Metric = Literal["rate", "p50_ms", "p99_ms", "cpu_us"]


class Cell(NamedTuple):
    """One thing to measure: which server, which model, how rows are sent, over how many connections."""

    server: str
    model: str
    encoding: str
    connections: int

    def __str__(self) -> str:
        return f"{self.server}, {self.model}, {self.encoding}, {self.connections}"


@dataclass(frozen=True)
class Measurement:
    """What one cell gave in one round: answers per second, latencies, CPU time of the server per answer."""

    cell: Cell
    round: int
    rate: float
    p50_ms: float
    p99_ms: float
    cpu_us: float
    errors: int = 0


@dataclass(frozen=True)
class Goal:
    """A bound on the ratio of one metric between two cells."""

    name: str
    ours: Cell
    other: Cell
    metric: Metric
    at_least: float | None = None
    at_most: float | None = None

    def is_met(self, ratio: float) -> bool:
        """Tell whether a ratio is within the bound."""
        low = self.at_least is None or ratio >= self.at_least
        return low and (self.at_most is None or ratio <= self.at_most)

    @property
    def bound(self) -> str:
        """The bound as people write it."""
        return f"≥ {self.at_least:g}" if self.at_least is not None else f"≤ {self.at_most:g}"


@dataclass(frozen=True)
class Finding:
    """What became of a goal: `figure` is what was measured."""

    goal: str
    bound: str
    figure: str
    met: bool


def medians(measurements: Iterable[Measurement]) -> dict[Cell, Measurement]:
    """Return each cell's median of every metric over the rounds; errors are summed."""
    grouped: dict[Cell, list[Measurement]] = {}
    for one in measurements:
        grouped.setdefault(one.cell, []).append(one)
    return {cell: _middle(cell, of_cell) for cell, of_cell in grouped.items()}


def ratio(measurements: Sequence[Measurement], ours: Cell, other: Cell, metric: Metric) -> float | None:
    """Return the median over rounds of ours / other within the round, so that drift of the machine cancels.

    None if no round has both.
    """
    by_round = {(one.cell, one.round): float(getattr(one, metric)) for one in measurements}
    ratios = [
        value / by_round[other, number]
        for (cell, number), value in by_round.items()
        if cell == ours and by_round.get((other, number))
    ]
    return median(ratios) if ratios else None


def judge(goal: Goal, measurements: Sequence[Measurement]) -> Finding:
    """Return what became of a goal; one that was not measured is not met."""
    found = ratio(measurements, goal.ours, goal.other, goal.metric)
    if found is None:
        return Finding(goal.name, goal.bound, "not measured", False)
    return Finding(goal.name, goal.bound, f"{found:.2f}", goal.is_met(found))


def without_errors(measurements: Sequence[Measurement]) -> Finding:
    """Return whether every answer of every server was right; figures of failing servers mean nothing."""
    failed = sorted({str(one.cell) for one in measurements if one.errors})
    return Finding("errors of any server in any cell", "0", "; ".join(failed) or "0", not failed)


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Return the least-squares slope of y over x; 0 for fewer than two different x."""
    if not points:
        return 0.0
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else 0.0


def _middle(cell: Cell, of_cell: Sequence[Measurement]) -> Measurement:
    return Measurement(
        cell,
        len(of_cell),
        median(one.rate for one in of_cell),
        median(one.p50_ms for one in of_cell),
        median(one.p99_ms for one in of_cell),
        median(one.cpu_us for one in of_cell),
        sum(one.errors for one in of_cell),
    )
