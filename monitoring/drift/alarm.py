"""The life of a drift alarm: it latches, goes on being watched, and ends only when somebody says so. Pure."""

from enum import StrEnum

import msgspec


class Phase(StrEnum):
    """QUIET: no alarm. DRIFTING: evidence is at its target. SUBSIDED: it was, and nobody has acknowledged."""

    QUIET = "quiet"
    DRIFTING = "drifting"
    SUBSIDED = "subsided"


class Event(StrEnum):
    """What happens to an alarm."""

    REACHED = "reached"
    FELL = "fell"
    ACKNOWLEDGED = "acknowledged"
    NEW_REFERENCE = "new_reference"


TRANSITIONS = {
    (Phase.QUIET, Event.REACHED): Phase.DRIFTING,
    (Phase.DRIFTING, Event.FELL): Phase.SUBSIDED,
    (Phase.DRIFTING, Event.ACKNOWLEDGED): Phase.QUIET,
    (Phase.SUBSIDED, Event.REACHED): Phase.DRIFTING,
    (Phase.SUBSIDED, Event.ACKNOWLEDGED): Phase.QUIET,
    (Phase.QUIET, Event.NEW_REFERENCE): Phase.QUIET,
    (Phase.DRIFTING, Event.NEW_REFERENCE): Phase.QUIET,
    (Phase.SUBSIDED, Event.NEW_REFERENCE): Phase.QUIET,
}
"""The phase after each event. Whoever acknowledges or changes the reference also resets the detector."""


class IllegalTransition(Exception):
    """What was asked of an alarm does not fit its phase."""


class DriftAlarm(msgspec.Struct, frozen=True):
    """One alarm. Times are starts of windows in Unix microseconds, 0 while quiet.

    `since_us`: the window that raised it. `onset_us`: when the drift of the strongest feature began, as
    estimated then. `features`: all that have been named since, in that order.
    """

    phase: Phase = Phase.QUIET
    since_us: int = 0
    onset_us: int = 0
    features: tuple[str, ...] = ()


class Look(msgspec.Struct, frozen=True):
    """What a sealed window shows: evidence of the model against its target, the features it names, onset."""

    window_us: int
    evidence: float
    target: float
    features: tuple[str, ...] = ()
    onset_us: int = 0


def looked(alarm: DriftAlarm, look: Look) -> DriftAlarm:
    """Return the alarm after a window. Evidence that is not known (NaN) changes nothing."""
    event = _event(look)
    phase = alarm.phase if event is None else TRANSITIONS.get((alarm.phase, event), alarm.phase)
    if event is not Event.REACHED:
        return msgspec.structs.replace(alarm, phase=phase)
    if alarm.phase is Phase.QUIET:
        return DriftAlarm(phase, look.window_us, look.onset_us, look.features)
    more = tuple(name for name in look.features if name not in alarm.features)
    return msgspec.structs.replace(alarm, phase=phase, features=alarm.features + more)


def ended(alarm: DriftAlarm, event: Event) -> DriftAlarm:
    """Return the alarm after an acknowledgement or a new reference.

    Raises IllegalTransition, as for an acknowledgement where there is no alarm.
    """
    if event not in (Event.ACKNOWLEDGED, Event.NEW_REFERENCE) or (alarm.phase, event) not in TRANSITIONS:
        raise IllegalTransition(f"an alarm that is {alarm.phase} cannot be {event}")
    return DriftAlarm(TRANSITIONS[alarm.phase, event])


def _event(look: Look) -> Event | None:
    if look.evidence >= look.target:
        return Event.REACHED
    return Event.FELL if look.evidence < look.target else None
