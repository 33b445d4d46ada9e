"""What a proof says: a promise, the figure that was measured, and whether it is kept."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Verdict:
    """One line of a proof."""

    promise: str
    figure: str
    kept: bool


def at_most(promise: str, value: float, limit: float, unit: str) -> Verdict:
    """Return the verdict on a figure that may be at most `limit`."""
    return Verdict(f"{promise} ≤ {limit:,g} {unit}".rstrip(), f"{value:,.4g} {unit}".rstrip(), value <= limit)


def at_least(promise: str, value: float, limit: float, unit: str = "") -> Verdict:
    """Return the verdict on a figure that must be at least `limit`."""
    return Verdict(f"{promise} ≥ {limit:,g} {unit}".rstrip(), f"{value:,.4g} {unit}".rstrip(), value >= limit)


def none_of(promise: str, found: object, among: int) -> Verdict:
    """Return the verdict on something of which there may be none; `found` is empty if there is none."""
    return Verdict(promise, f"{found or 0} of {among:,}", not found)
