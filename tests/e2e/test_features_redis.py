"""Predictions by key whose features lie in Redis: a real server, pushed to, slow to answer, and gone."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from driftgate.features.views.view import Feature, FeatureView, JoinKey
from driftgate.models.publish.describe import Description
from driftgate.models.publish.onnx_file import GraphFiles, Target, publish_graph
from driftgate.models.schema.manifest import Column
from driftgate.models.schema.stated_binding import stated_binding

from harness.features import declare
from harness.gateway import Gateway, until
from harness.models import linear_model
from harness.redis_server import redis_server

USERS = FeatureView(
    "users", (JoinKey("user"),), (Feature("age", "float32", on_missing="default", default=1.0),)
)
BINDING: dict[str, Any] = {
    "views": [{"view": "users", "keys": {"user": "user"}, "features": {"age": "b"}}],
}


def test_redis_fills_in_and_may_go_away(start_gateway: Callable[..., Gateway], tmp_path: Path) -> None:
    """What was pushed to Redis is filled in; while Redis is down answers go on with defaults, and say so."""
    registry = tmp_path / "registry"
    declare(registry, USERS)
    columns = tuple(Column(name, "x", "FP32", index=place) for place, name in enumerate("abcd"))
    known = Description(columns=columns, binding=stated_binding(BINDING), views={"users": USERS})
    publish_graph(GraphFiles(linear_model(1.0).SerializeToString()), Target("m", registry), known)
    with redis_server(tmp_path) as redis:
        settings = {
            "DRIFTGATE__FEATURES__STORE": "redis",
            "DRIFTGATE__FEATURES__REDIS_URL": redis.url,
            "DRIFTGATE__FEATURES__CACHE_TTL_S": "0.1",
        }
        gateway = start_gateway(environment=settings)
        gateway.wait_version("m", 1)
        now = datetime.now(UTC).isoformat()
        rows = {"rows": [{"user": "ann", "event_time": now, "age": 10.0}]}
        pushed = gateway.client.post(f"{gateway.ports.data}/v1/features/users", json=rows)
        assert pushed.status_code == 200, pushed.text
        until(lambda: features_of(predict(gateway)) == "fresh=1;snapshot=0", 5.0, "the row is read")
        assert predict(gateway).json()["rows"] == [{"y": 16.0}]
        redis.stop()
        until(lambda: features_of(predict(gateway)) == "timeout=1;snapshot=0", 5.0, "the row is forgotten")
        answer = predict(gateway)
        assert (answer.json()["rows"], answer.headers["x-defaulted"]) == ([{"y": 7.0}], "features")
        until(lambda: metric(gateway, "driftgate_feature_store_down") == 1, 10.0, "the breaker opens")
        began = time.perf_counter()
        assert predict(gateway).status_code == 200
        assert time.perf_counter() - began < 1.0


def test_a_gateway_does_not_start_with_a_cluster(tmp_path: Path) -> None:
    """`serve` says that clusters are not supported, and what would do instead."""
    with redis_server(tmp_path, "--cluster-enabled", "yes") as cluster:
        settings = {"DRIFTGATE__FEATURES__STORE": "redis", "DRIFTGATE__FEATURES__REDIS_URL": cluster.url}
        done = subprocess.run(
            [sys.executable, "-m", "driftgate.gateway.cli.main", "serve", "--port", "0", "--workers", "1"],
            cwd=tmp_path,
            env={**os.environ, **settings},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    assert done.returncode == 1
    assert "features.redis_url: it runs in cluster mode, which is not supported" in done.stderr
    assert "Traceback" not in done.stderr


def predict(gateway: Gateway) -> httpx.Response:
    body = {"rows": [{"a": 1, "c": 2, "d": 3, "user": "ann"}]}
    return gateway.client.post(f"{gateway.ports.data}/v2/models/m/predict", json=body)


def features_of(answer: httpx.Response) -> str:
    return str(answer.headers.get("x-features", answer.text))


def metric(gateway: Gateway, name: str) -> float:
    predict(gateway)
    text = gateway.client.get(f"{gateway.ports.metrics}/metrics").text
    return next(float(line.split()[-1]) for line in text.splitlines() if line.startswith(f"{name} "))
