"""Why a key gets the version that it gets: the answer to "who sees the canary?". Pure."""

import msgspec

from driftgate.gateway.errors import NotFound
from driftgate.gateway.routing.intervals import owned_by
from driftgate.gateway.routing.table import bucket_of
from driftgate.gateway.state.desired import TOTAL_PPM, Assignment, TrafficSplit


class AssignmentAnswer(msgspec.Struct, frozen=True):
    """The arm of a key in one generation. `why` is a sentence for people."""

    model: str
    generation: int
    assignment: Assignment
    bucket: int
    arm: str
    version: int
    weight_ppm: int
    why: str


def assign(name: str, split: TrafficSplit, generation: int, key: str) -> AssignmentAnswer:
    """Return the arm of `key`; raise NotFound if no version had traffic."""
    bucket = bucket_of(split.hash_key, key.encode())
    owned = owned_by(split.arms)
    for arm in split.arms:
        for start, stop in owned[arm.version]:
            if start <= bucket < stop:
                source = split.assignment.key
                why = (
                    f"as a key from {source} it is in bucket {bucket} of {TOTAL_PPM}; {start} to {stop - 1} "
                    f"belong to {arm.name}, version {arm.version}, which has {arm.weight_ppm / 10_000:g} %"
                )
                return AssignmentAnswer(
                    name, generation, split.assignment, bucket, arm.name, arm.version, arm.weight_ppm, why
                )
    raise NotFound(f"no version of {name} had traffic in generation {generation}")
