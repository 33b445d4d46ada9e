"""The Grafana dashboards ask for metrics that exist, in words that Prometheus understands."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from harness.grafana import DASHBOARDS, dashboard, expressions
from harness.metric_names import scraped_names

PROMTOOL = shutil.which("promtool")
NAME = re.compile(r"\bdriftgate_\w+")


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
