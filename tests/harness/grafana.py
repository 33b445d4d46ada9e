"""The Grafana dashboards, and what they ask Prometheus."""

import json
from pathlib import Path
from typing import Any

DASHBOARDS = sorted((Path(__file__).parents[2] / "deploy" / "grafana").glob("*.json"))
VARIABLES = {"$__rate_interval": "5m", "$__interval": "1m", "$model": ".*"}


def dashboard(path: Path) -> dict[str, Any]:
    """Return one dashboard."""
    document = json.loads(path.read_text())
    assert isinstance(document, dict)
    return document


def expressions(path: Path) -> list[str]:
    """Return every question that a dashboard asks Prometheus, as Grafana would send it."""
    found = [target["expr"] for panel in dashboard(path)["panels"] for target in panel["targets"]]
    found += [note["expr"] for note in dashboard(path)["annotations"]["list"] if "expr" in note]
    for variable, value in VARIABLES.items():
        found = [expression.replace(variable, value) for expression in found]
    return found
