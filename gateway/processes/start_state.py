"""What is checked of a state directory when a gateway starts."""

from driftgate.gateway.layout import StateLayout
from driftgate.gateway.listeners import CannotStart
from driftgate.gateway.state.desired import UnreadableState
from driftgate.gateway.state.generations import GenerationStore


def check_state(layout: StateLayout) -> None:
    """Raise CannotStart where the newest generation cannot be used: nothing could be served from it.

    An older one does not take its place: going back to an earlier split in silence would be worse.
    """
    try:
        GenerationStore(layout.desired).newest()
    except UnreadableState as error:
        raise CannotStart(
            f"the newest desired state in {layout.desired} cannot be used ({error}): make a new state "
            "directory from the last backup with `driftgate restore`, or start on an empty one"
        ) from error
