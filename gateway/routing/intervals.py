"""Which buckets each arm of a split owns, and what a change of weights moves. Pure.

Arms own intervals of 1,000,000 buckets. A change takes buckets only from arms that shrink and gives them only
to arms that grow, so nobody leaves an arm that did not shrink, for any number of arms.
"""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from driftgate.gateway.state.desired import TOTAL_PPM, Arm, Interval, TrafficSplit

Owned = Mapping[int, Sequence[Interval]]


class ArmMove(msgspec.Struct, frozen=True):
    """What a change does to one version: how many ppm of all keys join it and leave it."""

    version: int
    joining_ppm: int
    leaving_ppm: int


class Moves(msgspec.Struct, frozen=True):
    """What a change moves; where it `rebuckets`, dealing keys out anew, the figures are expectations."""

    moved_ppm: int
    rebuckets: bool
    arms: tuple[ArmMove, ...]


def owned_by(arms: Iterable[Arm]) -> dict[int, tuple[Interval, ...]]:
    """Return the intervals of each version; without any they are consecutive, in the order of the arms."""
    arms = tuple(arms)
    if any(arm.intervals for arm in arms):
        return {arm.version: arm.intervals for arm in arms}
    owned: dict[int, tuple[Interval, ...]] = {}
    start = 0
    for arm in arms:
        owned[arm.version] = ((start, start + arm.weight_ppm),) if arm.weight_ppm else ()
        start += arm.weight_ppm
    return owned


def with_intervals(arms: Sequence[Arm], present: Owned) -> tuple[Arm, ...]:
    """Return `arms` owning buckets as their weights say, with the fewest keys moved from `present`."""
    bare = tuple(msgspec.structs.replace(arm, intervals=()) for arm in arms)
    owned = reassigned(present, {arm.version: arm.weight_ppm for arm in arms})
    if owned == owned_by(bare):
        return bare
    return tuple(msgspec.structs.replace(arm, intervals=owned[arm.version]) for arm in bare)


def reassigned(present: Owned, weights: Mapping[int, int]) -> dict[int, tuple[Interval, ...]]:
    """Return who owns what once each version has its weight; `weights` sum to TOTAL_PPM."""
    kept: dict[int, list[Interval]] = {version: [] for version in weights}
    free: list[Interval] = [] if any(present.values()) else [(0, TOTAL_PPM)]
    for version, intervals in present.items():
        keeps, frees = _cut(intervals, weights.get(version, 0))
        kept.setdefault(version, []).extend(keeps)
        free += frees
    free = _merged(free)
    for version in _growers(kept, weights):
        taken, free = _take(free, weights[version] - _size(kept[version]), kept[version])
        kept[version] += taken
    return {version: tuple(_merged(kept[version])) for version in weights}


def moves(before: TrafficSplit, after: TrafficSplit) -> Moves:
    """Return what replacing `before` by `after` does to keys."""
    old, new = owned_by(before.arms), owned_by(after.arms)
    dealt_anew = rebuckets(before, after)
    found = []
    for version in sorted({*old, *new}):
        was, is_now = _size(old.get(version, ())), _size(new.get(version, ()))
        stays = _overlap(old.get(version, ()), new.get(version, ()))
        common = was * is_now // TOTAL_PPM if dealt_anew else stays
        if was != common or is_now != common:
            found.append(ArmMove(version, is_now - common, was - common))
    return Moves(sum(move.joining_ppm for move in found), dealt_anew, tuple(found))


def rebuckets(before: TrafficSplit, after: TrafficSplit) -> bool:
    """Whether keys are dealt out anew: a key or salt that is no longer the same while arms share traffic."""
    same = before.hash_key == after.hash_key and before.assignment.key == after.assignment.key
    return not same and len(before.versions) > 1


def _cut(intervals: Sequence[Interval], weight: int) -> tuple[list[Interval], list[Interval]]:
    """Split what is owned into what is kept and what is given up: small pieces first, then ends."""
    excess = max(0, _size(intervals) - weight)
    keeps: list[Interval] = []
    frees: list[Interval] = []
    for start, stop in sorted(intervals, key=lambda piece: (piece[1] - piece[0], -piece[0])):
        given = min(excess, stop - start)
        excess -= given
        if given:
            frees.append((stop - given, stop))
        if given < stop - start:
            keeps.append((start, stop - given))
    return keeps, frees


def _growers(kept: Mapping[int, Sequence[Interval]], weights: Mapping[int, int]) -> list[int]:
    """The versions that grow, the one that needs most first: it takes the largest pieces whole."""
    needs = {version: weight - _size(kept[version]) for version, weight in weights.items()}
    return sorted((v for v, need in needs.items() if need > 0), key=lambda v: -needs[v])


def _take(
    free: Sequence[Interval], need: int, own: Sequence[Interval]
) -> tuple[list[Interval], list[Interval]]:
    """Take `need` free buckets, first where they continue what the arm owns, then large pieces."""
    edges = {edge for interval in own for edge in interval}

    def rank(piece: Interval) -> tuple[bool, int, int]:
        return (piece[0] not in edges and piece[1] not in edges, piece[0] - piece[1], piece[0])

    taken: list[Interval] = []
    left: list[Interval] = []
    for start, stop in sorted(free, key=rank):
        part = min(need, stop - start)
        need -= part
        from_end = part < stop - start and stop in edges
        mine = (stop - part, stop) if from_end else (start, start + part)
        rest = (start, stop - part) if from_end else (start + part, stop)
        taken += [mine] if part else []
        left += [rest] if part < stop - start else []
    return taken, left


def _merged(intervals: Iterable[Interval]) -> list[Interval]:
    """Return the same buckets in order, neighbours joined."""
    joined: list[Interval] = []
    for start, stop in sorted(intervals):
        if joined and joined[-1][1] == start:
            joined[-1] = (joined[-1][0], stop)
        else:
            joined.append((start, stop))
    return joined


def _size(intervals: Iterable[Interval]) -> int:
    return sum(stop - start for start, stop in intervals)


def _overlap(one: Sequence[Interval], other: Sequence[Interval]) -> int:
    """Buckets in both; each is in order."""
    total = i = k = 0
    while i < len(one) and k < len(other):
        total += max(0, min(one[i][1], other[k][1]) - max(one[i][0], other[k][0]))
        if one[i][1] <= other[k][1]:
            i += 1
        else:
            k += 1
    return total
