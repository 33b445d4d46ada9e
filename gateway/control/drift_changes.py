"""What an operator may ask about the drift of a model: returns the model as asked for, or raises. Pure."""

from msgspec.structs import replace

from driftgate.gateway.control.changes import Subject
from driftgate.gateway.errors import Conflict
from driftgate.gateway.state.desired import Armed, DesiredModel


def arm(subject: Subject, version: int, armed: Armed) -> DesiredModel:
    """Return the model with a version whose drift notifies from now on.

    Raises Conflict for a version that is not held, and where `model.toml` says otherwise.
    """
    mode = subject.model.settings.drift.mode
    if mode == "off":
        raise Conflict(f"drift of {subject.name} is not watched: set mode in [drift] of its model.toml")
    held = {str(one.version) for one in subject.model.held}
    if str(version) not in held:
        known = ", ".join(sorted(held, key=int)) or "none"
        raise Conflict(f"version {version} of {subject.name} is not held; held are: {known}")
    kept = {number: it for number, it in subject.model.armed.items() if number in held}
    return replace(subject.model, armed=kept | {str(version): armed})


def observe(subject: Subject, version: int | None) -> DesiredModel:
    """Return the model with a version (None: all) whose drift notifies nobody.

    Raises Conflict where `model.toml` arms all versions, or the version is not armed.
    """
    if subject.model.settings.drift.mode == "armed":
        raise Conflict(f'{subject.name} is armed by its model.toml: set mode = "observe" in its [drift]')
    if version is not None and str(version) not in subject.model.armed:
        raise Conflict(f"version {version} of {subject.name} is not armed")
    kept = {number: it for number, it in subject.model.armed.items() if version not in (None, int(number))}
    return replace(subject.model, armed=kept)


def acknowledge(subject: Subject, now_us: int) -> DesiredModel:
    """Return the model with its evidence of drift so far acknowledged: it begins anew."""
    return replace(subject.model, drift_acknowledged_us=now_us)
