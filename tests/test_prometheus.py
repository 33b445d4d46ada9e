"""The Prometheus rules are sound: they fire when they should, on metrics that exist, and say what to do."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.metric_names import scraped_names

ROOT = Path(__file__).parent.parent
RULES = ROOT / "deploy" / "prometheus"
RUNBOOKS = ROOT / "docs" / "runbooks"
PROMTOOL = shutil.which("promtool")
NAME = re.compile(r"\bdriftgate_\w+")

needs_promtool = pytest.mark.skipif(
    PROMTOOL is None, reason="promtool is not installed: apt install prometheus"
)


def rules() -> list[dict[str, Any]]:
    """Return all rules."""
    groups = yaml.safe_load((RULES / "rules.yaml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


ALERTS = [rule for rule in rules() if "alert" in rule]


def promtool(*words: str) -> None:
    """Run promtool; fail with what it says."""
    assert PROMTOOL is not None
    done = subprocess.run(
        [PROMTOOL, *words], capture_output=True, text=True, check=False, cwd=RULES, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
@pytest.mark.parametrize(
    "words",
    [
        ("check", "rules", "rules.yaml"),
        ("check", "config", "prometheus.yaml"),
        ("test", "rules", "rules.test.yaml"),
    ],
    ids=" ".join,
)
def test_promtool_is_content(words: tuple[str, ...]) -> None:
    """The rules parse, the example configuration takes them, and every case fires what it should alone."""
    promtool(*words)


def test_every_alert_has_a_case() -> None:
    """Each alert fires in some case, and all keep quiet in one where all is well."""
    tests = yaml.safe_load((RULES / "rules.test.yaml").read_text())["tests"]
    fired = set(re.findall(r'alertname="(\w+)"', (RULES / "rules.test.yaml").read_text()))
    assert {alert["alert"] for alert in ALERTS} == fired
    assert any(test["promql_expr_test"][0]["exp_samples"] == [] for test in tests)


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.get("alert") or rule["record"])
def test_rules_name_metrics_that_exist(rule: dict[str, Any]) -> None:
    """A rule on a metric that nobody tells would never fire."""
    recorded = {other["record"] for other in rules() if "record" in other}
    words = re.sub(r"model:\w+:\w+", lambda found: "" if found[0] in recorded else found[0], rule["expr"])
    assert set(NAME.findall(words)) <= scraped_names()


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_alerts_say_what_to_do(alert: dict[str, Any]) -> None:
    """An alert has a severity, words for people, and a runbook that speaks of it."""
    assert alert["labels"]["severity"] in ("page", "ticket")
    assert {"summary", "description", "runbook_url"} <= set(alert["annotations"])
    page = (ROOT / alert["annotations"]["runbook_url"]).read_text()
    assert f"`{alert['alert']}`" in page
    assert [line for line in page.splitlines() if line.startswith("## ")] == [
        "## What it means",
        "## Impact",
        "## How to see it",
        "## What to do",
    ]
    assert "```console\n$ " in page


def test_every_runbook_belongs_to_an_alert() -> None:
    """There is no runbook that nobody is sent to."""
    used = {ROOT / alert["annotations"]["runbook_url"] for alert in ALERTS}
    assert used == set(RUNBOOKS.glob("*.md"))
