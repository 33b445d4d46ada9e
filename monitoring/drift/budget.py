"""The budget of false alarms, in time, and what each test may spend of it. Pure.

An operator says how often a receiver may be notified for nothing; all tests that can notify that receiver
share this. Rates of false alarms add, whatever depends on what, so each of N tests gets N times the run
length.
"""

import re
from collections.abc import Mapping

import msgspec

_UNITS_S = {"h": 3600.0, "d": 86400.0, "w": 7 * 86400.0}
_TEXT = re.compile(r"\s*1\s+in\s+(\d+(?:\.\d+)?)\s*([hdw])\s*")


class FalseAlarmBudget(msgspec.Struct, frozen=True):
    """At most one false notification in so many seconds, on average; four weeks by default."""

    every_s: float = 4 * _UNITS_S["w"]


class Receiver(msgspec.Struct, frozen=True):
    """Who is notified, and of which models."""

    name: str
    models: frozenset[str]
    budget: FalseAlarmBudget = FalseAlarmBudget()


def parse_budget(text: str) -> FalseAlarmBudget:
    """Return the budget in a text like "1 in 4w", in hours, days or weeks. Raises ValueError."""
    match = _TEXT.fullmatch(text)
    if not match or not float(match[1]):
        raise ValueError(f'{text!r} is no budget of false alarms; write one like "1 in 4w" (h, d or w)')
    return FalseAlarmBudget(float(match[1]) * _UNITS_S[match[2]])


def alarm_targets(
    receivers: Mapping[str, Receiver], tests: Mapping[str, int], window_s: float
) -> dict[tuple[str, str], float]:
    """Return the evidence at which a model's tests notify a receiver, by (receiver, model).

    `tests`: how many live tests each model has; all its versions, arms and segments that share one evidence
    are one test. The evidence of a test is compared with the number of windows that it must last on average.
    Raises ValueError if windows are longer than a budget.
    """
    found: dict[tuple[str, str], float] = {}
    for name, receiver in receivers.items():
        windows = receiver.budget.every_s / window_s
        if windows < 1:
            raise ValueError(f"receiver {name!r}: its budget is shorter than a window of {window_s:g} s")
        live = {model: tests[model] for model in sorted(receiver.models) if tests.get(model)}
        found |= {(name, model): windows * sum(live.values()) for model in live}
    return found
