"""The Grafana dashboards ask for metrics that exist, in words that Prometheus understands."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.metric_names import scraped_names

ROOT = Path(__file__).parent.parent
DASHBOARDS = sorted((ROOT / "deploy" / "grafana").glob("*.json"))
PROMTOOL = shutil.which("promtool")
NAME = re.compile(r"\bdriftgate_\w+")
GRAFANA = {"$__rate_interval": "5m", "$__interval": "1m", "$model": ".*"}


def dashboard(path: Path) -> dict[str, Any]:
    """Return one dashboard."""
    document = json.loads(path.read_text())
    assert isinstance(document, dict)
    return document


def expressions(path: Path) -> list[str]:
    """Return every question that a dashboard asks Prometheus, as Grafana would send it."""
    found = [target["expr"] for panel in dashboard(path)["panels"] for target in panel["targets"]]
    found += [note["expr"] for note in dashboard(path)["annotations"]["list"] if "expr" in note]
    for variable, value in GRAFANA.items():
        found = [expression.replace(variable, value) for expression in found]
    return found


def test_there_is_a_dashboard_for_each_subject() -> None:
    """Serving, traffic and drift have one each, with identities of their own."""
    assert [path.stem for path in DASHBOARDS] == ["drift", "serving", "traffic"]
    assert len({dashboard(path)["uid"] for path in DASHBOARDS}) == len(DASHBOARDS)


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_dashboards_name_metrics_that_exist(path: Path) -> None:
    """A panel or variable on a metric that nobody tells would stay empty."""
    asked = " ".join(expressions(path)) + json.dumps(dashboard(path)["templating"])
    assert set(NAME.findall(asked)) <= scraped_names()


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed: apt install prometheus")
def test_every_question_parses(tmp_path: Path) -> None:
    """Prometheus understands every expression of every dashboard."""
    rules = [
        {"record": f"dashboard:question:{number}", "expr": expression}
        for number, expression in enumerate(it for path in DASHBOARDS for it in expressions(path))
    ]
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": [{"name": "questions", "rules": rules}]}))
    words = [str(PROMTOOL), "check", "rules", str(tmp_path / "rules.yaml")]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_panels_have_a_place_of_their_own(path: Path) -> None:
    """No panel lies on another, and each belongs to the chosen data source."""
    taken: set[tuple[int, int]] = set()
    for panel in dashboard(path)["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken
        assert max(x for x, _ in cells) < 24
        assert panel["datasource"]["uid"] == "${source}"
        taken |= cells


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_events_are_annotations(path: Path) -> None:
    """Each dashboard can show the timeline of the admin API, and marks changes of the state without it."""
    notes = dashboard(path)["annotations"]["list"]
    assert any("/api/annotations?" in note.get("target", {}).get("url", "") for note in notes)
    assert any("driftgate_newest_generation" in note.get("expr", "") for note in notes)
