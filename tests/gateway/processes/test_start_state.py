"""What is checked of a state directory when a gateway starts."""

from pathlib import Path

import pytest

from driftgate.gateway.layout import StateLayout
from driftgate.gateway.listeners import CannotStart
from driftgate.gateway.processes.start_state import check_state
from driftgate.gateway.state.desired import DesiredState
from driftgate.gateway.state.generations import NO_PREDECESSOR, GenerationStore


def test_a_damaged_newest_generation_keeps_a_gateway_from_starting(tmp_path: Path) -> None:
    """A new directory and a sound one are fine; a cut off newest generation is told, with the way out."""
    layout = StateLayout(tmp_path)
    check_state(layout)
    layout.desired.mkdir()
    GenerationStore(layout.desired).commit(
        DesiredState(generation=1, previous=NO_PREDECESSOR, who="ann", why="because", at="now")
    )
    check_state(layout)
    (layout.desired / "2.json").write_bytes(b'{"format":')
    with pytest.raises(CannotStart, match=r"generation 2.*driftgate restore"):
        check_state(layout)
