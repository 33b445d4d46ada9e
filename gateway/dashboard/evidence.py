"""How evidence of drift went: features by time, for each arm. Pure."""

from collections.abc import Iterable, Mapping

import msgspec
import numpy as np

from driftgate.monitoring.book.drift_tables import StoredEvidence
from driftgate.monitoring.log.record import Array
from driftgate.monitoring.reference.profile import ReferenceProfile

MOST_FEATURES = 100
"""Of an arm: those with the most evidence at any time."""


class FeatureEvidence(msgspec.Struct, frozen=True):
    """One feature: logarithms (base 10) of its evidence at the end of each step, the last one apart.

    None: nothing can be said, for want of reference rows. What is below 1 is told as 0.
    """

    name: str
    place: int
    log10_evidence: float | None
    is_named: bool
    values: tuple[float | None, ...]


class ArmEvidence(msgspec.Struct, frozen=True):
    """One arm under its newest reference; `start_us` has the steps with windows, in Unix microseconds.

    Of `watched` features those with the most evidence are told.
    """

    version: int
    arm: str
    start_us: tuple[int, ...]
    watched: int
    features: tuple[FeatureEvidence, ...]


def arm_evidence(
    stored: Iterable[StoredEvidence],
    profiles: Mapping[str, ReferenceProfile],
    named: Mapping[tuple[int, str], frozenset[str]],
    step_us: int,
) -> tuple[ArmEvidence, ...]:
    """Return the evidence of every version and arm; what is stored comes in the order of time.

    `named` are the features that evidence names now, by version and arm.
    """
    arms: dict[tuple[int, str], tuple[str, dict[int, Array]]] = {}
    for key, log10 in stored:
        arm = (key.version, key.arm)
        if arm not in arms or arms[arm][0] != key.profile:
            arms[arm] = (key.profile, {})
        arms[arm][1][key.start_us // step_us * step_us] = log10
    return tuple(
        _arm(arm, profiles[profile], steps, named.get(arm, frozenset()))
        for arm, (profile, steps) in sorted(arms.items())
        if profile in profiles
    )


def _arm(
    arm: tuple[int, str], profile: ReferenceProfile, steps: Mapping[int, Array], named: frozenset[str]
) -> ArmEvidence:
    matrix = np.round(np.maximum(np.stack(list(steps.values())), 0).astype(np.float64), 2)
    strongest = np.where(np.isnan(matrix), -1.0, matrix).max(axis=0)
    places = np.sort(np.argsort(-strongest, kind="stable")[:MOST_FEATURES]).tolist()
    return ArmEvidence(
        version=arm[0],
        arm=arm[1],
        start_us=tuple(steps),
        watched=len(profile.features),
        features=tuple(
            FeatureEvidence(
                name=profile.features[place].name,
                place=place,
                log10_evidence=_known(matrix[-1, place]),
                is_named=profile.features[place].name in named,
                values=tuple(map(_known, matrix[:, place].tolist())),
            )
            for place in places
        ),
    )


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
