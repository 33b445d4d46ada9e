"""What a bench measured, one line for each number, with the goal beside it."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """One measured number: less is better, unless it is a rate ("/s") or a factor ("x"). None: no goal."""

    name: str
    value: float
    unit: str
    goal: float | None = None

    @property
    def missed(self) -> bool:
        """Whether the goal was not reached."""
        if self.goal is None:
            return False
        more_is_better = self.unit == "x" or self.unit.endswith("/s")
        return self.value < self.goal if more_is_better else self.value > self.goal


def show_figures(figures: Iterable[Figure]) -> int:
    """Print each as soon as it is measured; return the exit code: 1 if a goal is missed, else 0."""
    missed = False
    for figure in figures:
        goal = f"  goal {figure.goal:,.0f}" if figure.goal else ""
        print(f"{figure.name:60} {figure.value:12,.2f} {figure.unit}{goal}")
        missed = missed or figure.missed
    return int(missed)
