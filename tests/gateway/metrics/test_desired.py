"""The newest desired state as metrics."""

from pathlib import Path

from driftgate.gateway.layout import StateLayout
from driftgate.gateway.metrics.exposition import render
from driftgate.gateway.state.desired import Arm, DesiredModel, DesiredState, TrafficSplit
from driftgate.gateway.state.generations import NO_PREDECESSOR, GenerationStore

ARMS = (Arm("stable", 1, 950_000), Arm("canary", 2, 50_000))


def test_shares_and_ejections_are_told(tmp_path: Path) -> None:
    """Every arm has its share and an ejected version says so; a damaged state costs no other metric."""
    layout = StateLayout(tmp_path)
    assert b"driftgate_traffic_share" not in render(layout)
    model = DesiredModel(TrafficSplit("00", ARMS), ejected={"2": "it crashed"})
    state = DesiredState(
        generation=1, previous=NO_PREDECESSOR, who="ann", why="because", at="now", models={"m": model}
    )
    layout.desired.mkdir()
    GenerationStore(layout.desired).commit(state)
    said = render(layout).decode()
    assert 'driftgate_traffic_share{arm="stable",model="m",version="1"} 0.95' in said
    assert 'driftgate_traffic_share{arm="canary",model="m",version="2"} 0.05' in said
    assert 'driftgate_version_ejected{model="m",version="2"} 1.0' in said
    (layout.desired / "2.json").write_bytes(b"{")
    damaged = render(layout)
    assert b"driftgate_traffic_share" not in damaged
    assert b"driftgate_unreadable_counter_files" in damaged
