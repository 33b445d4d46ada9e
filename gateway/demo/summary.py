"""What the demo saw, as one value: counts, latencies, quality, and what was not as it should be."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from driftgate.gateway.demo.documents import Answer
from driftgate.gateway.demo.drift import DriftSeen, problems_of
from driftgate.gateway.demo.held_out import HeldOut, Row

TOLERANCE = 1e-4
"""Largest difference between a served probability and the estimator's own that is not called wrong."""

ERRORS_SHOWN = 3


class VersionSummary(msgspec.Struct, frozen=True):
    """One version: answers it gave, AUC on its held-out rows, largest difference from the estimator."""

    version: int
    answers: int
    auc: float
    held_out_rows: int
    largest_difference: float


class ModelSummary(msgspec.Struct, frozen=True):
    """One model and its versions, oldest first."""

    name: str
    versions: tuple[VersionSummary, ...]


class Summary(msgspec.Struct, frozen=True):
    """The demo's result; `problems` is empty where everything was as it should be.

    `features` counts the values that were looked up by key, by status.
    """

    requests: int
    errors: int
    seconds: float
    p50_ms: float
    p99_ms: float
    models: tuple[ModelSummary, ...]
    samples: tuple[str, ...]
    features: dict[str, int]
    problems: tuple[str, ...]
    urls: dict[str, str]
    drift: DriftSeen


class Shown(NamedTuple):
    """How long the swap took, where to look, and what was seen of the drift."""

    seconds: float
    urls: Mapping[str, str]
    drift: DriftSeen


def summarise(answers: Sequence[Answer], held_out: Sequence[HeldOut], shown: Shown) -> Summary:
    """Return the summary of `answers` by the versions in `held_out`, of which each model has some."""
    good = [answer for answer in answers if not answer.error]
    latencies = [answer.latency_ms for answer in good] or [0.0]
    models = tuple(
        ModelSummary(name, tuple(_version(good, one) for one in held_out if one.model == name))
        for name in dict.fromkeys(one.model for one in held_out)
    )
    return Summary(
        requests=len(answers),
        errors=len(answers) - len(good),
        seconds=round(shown.seconds, 1),
        p50_ms=round(float(np.percentile(latencies, 50)), 2),
        p99_ms=round(float(np.percentile(latencies, 99)), 2),
        models=models,
        samples=tuple(text for model in models for text in _samples(good, held_out, model.name)),
        features=_features(good),
        problems=(*_failures(answers), *_doubts(models), *problems_of(shown.drift)),
        urls=dict(shown.urls),
        drift=shown.drift,
    )


def in_words(model: str, row: Row, score: float, label: int) -> str:
    """Return one prediction and what really happened, for people."""
    if model == "flight_delay":
        flight = f"{row['carrier']} from {row['origin']} to {row['dest']}"
        when = f"at {row['hour']}:00 in month {row['month']}"
        return f"{flight} {when}: {score:.0%} likely to be late; it was {'late' if label else 'on time'}"
    what = f"tumour of radius {row['mean_radius']}, texture {row['mean_texture']}"
    return f"{what}: {score:.0%} likely to be benign; it was {'benign' if label else 'malignant'}"


def _version(answers: Sequence[Answer], held_out: HeldOut) -> VersionSummary:
    mine = [a for a in answers if a.model == held_out.model and a.version == held_out.version]
    differences = [abs(a.score - held_out.scores[a.row]) for a in mine]
    return VersionSummary(
        version=held_out.version,
        answers=len(mine),
        auc=round(held_out.auc, 3),
        held_out_rows=held_out.held_out_rows,
        largest_difference=float(np.max(differences, initial=0.0)),  # NaN stays NaN
    )


def _samples(answers: Sequence[Answer], held_out: Sequence[HeldOut], model: str) -> list[str]:
    newest = max((one for one in held_out if one.model == model), key=lambda one: one.version)
    served = [a for a in answers if a.model == model and a.version == newest.version]
    extremes = [find(served, key=lambda answer: answer.score) for find in (max, min)] if served else []
    return [
        f"{model} v{a.version}: {in_words(model, newest.rows[a.row], a.score, newest.labels[a.row])}"
        for a in extremes
    ]


def _features(answers: Sequence[Answer]) -> dict[str, int]:
    """Add up what `x-features` says, such as `fresh=7,null=1;snapshot=plane:1/weather:1`."""
    found: dict[str, int] = {}
    for answer in answers:
        for item in answer.features.partition(";")[0].split(","):
            status, _, count = item.partition("=")
            if count:
                found[status] = found.get(status, 0) + int(count)
    return found


def _failures(answers: Sequence[Answer]) -> list[str]:
    errors = [f"{answer.model}: {answer.error}" for answer in answers if answer.error]
    return list(dict.fromkeys(errors))[:ERRORS_SHOWN] if answers else ["no request was sent"]


def _doubts(models: Sequence[ModelSummary]) -> list[str]:
    silent = [
        f"{model.name}: version {one.version} answered nothing"
        for model in models
        for one in model.versions
        if not one.answers
    ]
    wrong = [
        f"{model.name}: version {one.version} differs from its estimator by {one.largest_difference:.2g}"
        for model in models
        for one in model.versions
        if not one.largest_difference <= TOLERANCE
    ]
    return silent + wrong
