"""What happened, as entries of one timeline: who did what to which model, when and why.

Changes of the desired state are read off the generations, which already say who and why; nothing is written
down twice. Pure.
"""

from collections.abc import Iterator
from datetime import UTC, datetime

import msgspec

from driftgate.gateway.state.desired import DesiredModel, DesiredState, ReferenceWindow, TrafficSplit
from driftgate.models.registry.settings import settings_differences

PPM_PER_PERCENT = 10_000


class Event(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One entry. `at` is UTC in ISO 8601; `generation` is the desired state that it is part of, if any."""

    at: str
    kind: str
    who: str
    why: str = ""
    model: str = ""
    version: int = 0
    generation: int = 0
    process: str = ""


def events_between(before: DesiredState | None, after: DesiredState) -> list[Event]:
    """Return what generation `after` changed of `before`, the one before it (None: there was none)."""
    models = before.models if before else {}
    found = [
        msgspec.structs.replace(event, model=name)
        for name in sorted({*models, *after.models})
        for event in _of_model(models.get(name), after.models.get(name), after)
    ]
    if before and set(after.retired_boots) - set(before.retired_boots):
        found.append(_event(after, "workers_retired"))
    return found or [_event(after, "generation")]


def _of_model(
    before: DesiredModel | None, after: DesiredModel | None, state: DesiredState
) -> Iterator[Event]:
    if after is None:
        yield _event(state, "model_gone")
        return
    earlier = before or DesiredModel(split=TrafficSplit(""))
    yield from _of_versions(earlier, after, state)
    yield from _of_traffic(earlier, after, state)
    labels = _labels_moved(earlier, after)
    if labels:
        yield _event(state, "labels", labels)
    if after.settings != earlier.settings:
        changed = ", ".join(map(str, settings_differences(earlier.settings, after.settings)))
        yield _event(state, "settings", changed)


def _of_versions(before: DesiredModel, after: DesiredModel, state: DesiredState) -> Iterator[Event]:
    old, new = {held.version for held in before.held}, {held.version for held in after.held}
    for version in sorted(new - old):
        yield _event(state, "version_loaded", version=version)
    for version in sorted(old - new):
        yield _event(state, "version_unloaded", version=version)
    ejected = dict(after.ejected.items() - before.ejected.items())
    for number, reason in ejected.items():
        yield _event(state, "version_ejected", reason, int(number))
    for number, reason in after.refused.items() - before.refused.items():
        if number not in ejected:  # an ejection refuses the version, too
            yield _event(state, "change_refused", reason, int(number))


def _of_traffic(before: DesiredModel, after: DesiredModel, state: DesiredState) -> Iterator[Event]:
    if after.split.arms != before.split.arms:
        # only a rollback moves traffic and pins in one step
        kind = "rollback" if after.pinned and after.pinned != before.pinned else "traffic"
        yield _event(state, kind, f"{_shares(before.split)} → {_shares(after.split)}", after.split.stable)
    elif after.split.assignment != before.split.assignment:
        said = f"{_assigned_by(before.split)} → {_assigned_by(after.split)}"
        yield _event(state, "traffic", said, after.split.stable)
    elif after.change and after.change != before.change:
        yield _event(state, "traffic_asked")
    if after.shadows != before.shadows:
        said = ", ".join(f"{it.version}: {it.share_ppm / PPM_PER_PERCENT:g} %" for it in after.shadows)
        yield _event(state, "shadow", said or "none")
    if after.reference is not None and after.reference != before.reference:
        yield _event(state, "rebaseline", _traffic_of(after.reference), after.reference.version)
    yield from _of_drift(before, after, state)
    if after.pinned != before.pinned:
        yield _event(state, "pinned" if after.pinned else "unpinned", version=after.pinned)


def _of_drift(before: DesiredModel, after: DesiredModel, state: DesiredState) -> Iterator[Event]:
    for number, armed in after.armed.items():
        if before.armed.get(number) != armed:
            by = "judged by the hours of its traffic" if armed.end_us else "judged by its reference alone"
            yield _event(state, "drift_armed", by, int(number))
    for number in before.armed.keys() - after.armed.keys():
        yield _event(state, "drift_observed", version=int(number))
    if after.drift_acknowledged_us != before.drift_acknowledged_us:
        yield _event(state, "drift_acknowledged")


def _traffic_of(window: ReferenceWindow) -> str:
    first, end = (datetime.fromtimestamp(at // 1_000_000, UTC) for at in (window.first_us, window.end_us))
    return f"traffic of {first:%Y-%m-%dT%H:%M:%SZ} to {end:%Y-%m-%dT%H:%M:%SZ}"


def _labels_moved(before: DesiredModel, after: DesiredModel) -> str:
    """Say which labels stand for another version now, as `stable 1 → 2`."""
    was, is_now = _labels(before), _labels(after)
    moved = (label for label in was if was[label] != is_now[label])
    return ", ".join(f"{label} {was[label] or 'none'} → {is_now[label] or 'none'}" for label in moved)


def _labels(model: DesiredModel) -> dict[str, int | None]:
    latest = max((held.version for held in model.held), default=None)
    return {"stable": model.split.stable, "canary": model.split.canary, "latest": latest}


def _assigned_by(split: TrafficSplit) -> str:
    return f"by {split.assignment.key} with the salt {split.assignment.salt}"


def _event(state: DesiredState, kind: str, what: str = "", version: int | None = None) -> Event:
    why = f"{state.why} ({what})" if what and what not in state.why else state.why
    return Event(
        at=state.at, kind=kind, who=state.who, why=why, version=version or 0, generation=state.generation
    )


def _shares(split: TrafficSplit) -> str:
    if not split.versions:
        return "none"
    return ", ".join(
        f"{arm.version}: {arm.weight_ppm / PPM_PER_PERCENT:g} %" for arm in split.arms if arm.weight_ppm
    )
