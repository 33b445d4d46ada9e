"""What an operator may ask about a model's reference: returns the model as asked for, or raises. Pure."""

from msgspec.structs import replace

from driftgate.gateway.control.changes import Subject
from driftgate.gateway.errors import BadRequest, Conflict
from driftgate.gateway.state.desired import DesiredModel, ReferenceWindow

SHORTEST_US = 60_000_000


def rebaseline(subject: Subject, window: ReferenceWindow) -> DesiredModel:
    """Return the model with a reference that is to be made of the traffic of a window; it is observed anew.

    Raises BadRequest for a window shorter than a minute, Conflict for a version that is not held.
    """
    if window.end_us - window.first_us < SHORTEST_US:
        raise BadRequest("the window is shorter than a minute: give its beginning, then its end")
    if subject.model.held_version(window.version) is None:
        held = ", ".join(str(one.version) for one in subject.model.held) or "none"
        raise Conflict(f"version {window.version} of {subject.name} is not held; held are: {held}")
    armed = {number: it for number, it in subject.model.armed.items() if number != str(window.version)}
    return replace(subject.model, reference=window, armed=armed)
