"""What control writes down for metrics: only what is new, and the limits of models."""

from io import BytesIO
from pathlib import Path

from driftgate.gateway.control.facts import VersionKey
from driftgate.gateway.control.status_report import StatusReport, control_status
from driftgate.gateway.logs import Logger
from driftgate.gateway.state.control_status import ControlStatus, RefusedVersion, read_control_status
from driftgate.gateway.state.desired import Arm, DesiredModel, DesiredState, TrafficSplit
from driftgate.models.registry.settings import ModelAlertSettings, ModelSettings


def test_what_there_is_to_say() -> None:
    """Versions with traffic, refusals with their reason, and limits in seconds."""
    model = DesiredModel(
        TrafficSplit("00", (Arm("stable", 1, 1_000_000),)),
        settings=ModelSettings(alerts=ModelAlertSettings(max_age_days=2)),
    )
    state = DesiredState(generation=1, previous="", who="", why="", at="", models={"m": model})
    status = control_status(state, "", {}, {VersionKey("m", 2): "damaged"})
    assert [(one.model, one.version, one.created_s) for one in status.served] == [("m", 1, 0)]
    assert status.refused == (RefusedVersion("m", 2, "damaged"),)
    assert status.max_age_s == {"m": 2 * 86_400}


def test_only_news_is_written(tmp_path: Path) -> None:
    """The same status is not written twice, and what failed is written again."""
    path = tmp_path / "control.json"
    report = StatusReport(path, Logger("control", stream=BytesIO()))
    report.write(ControlStatus())
    path.unlink()
    report.write(ControlStatus())
    assert read_control_status(path) is None
    lost = StatusReport(tmp_path / "nowhere" / "control.json", Logger("control", stream=BytesIO()))
    lost.write(ControlStatus())
    path.parent.joinpath("nowhere").mkdir()
    lost.write(ControlStatus())
    assert read_control_status(tmp_path / "nowhere" / "control.json") == ControlStatus()


def test_it_looks_once_a_second() -> None:
    """Between two looks lies a second."""
    report = StatusReport(Path("unused"), Logger("control", stream=BytesIO()))
    assert [report.is_due(now) for now in (0.0, 0.5, 1.0, 1.9, 2.0)] == [True, False, True, False, True]
