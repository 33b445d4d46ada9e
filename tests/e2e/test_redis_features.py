"""Predictions by key with features in Redis: pushed and read over HTTP, and while Redis is away."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import numpy as np
import pytest

from driftgate.features.redis.breaker import FAILURES_IN_A_ROW
from driftgate.features.views.view import Feature, FeatureView, JoinKey
from driftgate.models.publish.describe import Description
from driftgate.models.publish.onnx_file import GraphFiles, Target, publish_graph
from driftgate.models.schema.binding import FeatureBinding
from driftgate.models.schema.manifest import Column
from driftgate.models.schema.stated_binding import stated_binding

from harness.fault_proxy import NONE, FaultProxy, Harm, fault_proxy
from harness.features import declare
from harness.gateway import Gateway, running, until
from harness.models import linear_model
from harness.redis_server import RedisServer, redis_server

USERS = FeatureView(
    "users",
    (JoinKey("user"),),
    tuple(Feature(name, "float32", on_missing="default", default=1.0) for name in ("age", "score")),
    ttl_s=3600.0,
)
BINDING: dict[str, Any] | FeatureBinding = {
    "views": [{"view": "users", "keys": {"user": "user"}, "features": {"age": "b", "score": "c"}}]
}
SESAME = "hush-hush"
RIGHTS = ("~driftgate/*", "+@read", "+@write", "+@scripting", "+@connection", "+select")
COLUMNS = tuple(Column(name, "x", "FP32", index=place) for place, name in enumerate("abcd"))


class Served(NamedTuple):
    """A gateway, its Redis and the proxy between them."""

    gateway: Gateway
    redis: RedisServer
    proxy: FaultProxy
    settings: dict[str, str]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Run a gateway whose model adds up what is sent and what Redis has of a user."""
    root: Path = tmp_path_factory.mktemp("redis-features")
    declare(root / "registry", USERS)
    known = Description(columns=COLUMNS, binding=stated_binding(BINDING), views={"users": USERS})
    publish_graph(GraphFiles(linear_model(1.0).SerializeToString()), Target("m", root / "registry"), known)
    (root / "redis-password").write_text(f"{SESAME}\n")
    with redis_server(root) as redis, fault_proxy(redis.port) as proxy:
        redis.client.execute_command("ACL", "SETUSER", "driftgate", "on", f">{SESAME}", *RIGHTS)
        settings = {
            "DRIFTGATE__FEATURES__STORE": "redis",
            "DRIFTGATE__FEATURES__REDIS_URL": proxy.url.replace("//", "//driftgate@"),
            "DRIFTGATE__FEATURES__REDIS_PASSWORD_FILE": str(root / "redis-password"),
            "DRIFTGATE__FEATURES__CACHE_TTL_S": "0.001",
        }
        with running(root, environment=settings) as gateway:
            gateway.wait_version("m", 1)
            yield Served(gateway, redis, proxy, settings)


def push(served: Served, **features: Any) -> httpx.Response:
    """Push one row."""
    url = f"{served.gateway.ports.data}/v1/features/users"
    return served.gateway.client.post(
        url, json={"rows": [{"event_time": datetime.now(UTC).isoformat(), **features}]}
    )


def predicted(served: Served, user: str) -> tuple[float, str]:
    """Return the prediction for a user, and what the answer says of the features."""
    row = {"a": 1, "d": 2, "user": user}
    answer = served.gateway.client.post(
        f"{served.gateway.ports.data}/v2/models/m/predict", json={"rows": [row]}
    )
    assert answer.status_code == 200, answer.text
    return answer.json()["rows"][0]["y"], answer.headers["x-features"].partition(";")[0]


def test_what_is_pushed_is_used(served: Served) -> None:
    """A push over HTTP lies in Redis when it is acknowledged, and predictions by key use it."""
    answer = push(served, user="ann", age=10.0, score=100.0)
    assert answer.status_code == 200, answer.text
    assert answer.json()["written"] == 1
    assert served.redis.client.dbsize() == 1
    assert predicted(served, "ann") == (113.0, "fresh=2")
    assert predicted(served, "nobody") == (5.0, "default=2")


def ready(served: Served) -> dict[str, Any]:
    """Return what the model's probe says."""
    answer = served.gateway.client.get(f"{served.gateway.ports.data}/v2/models/m/ready")
    assert answer.status_code == 200
    return dict(answer.json())


def doctor(served: Served) -> dict[str, str]:
    """Return what the doctor finds, by check, the last of each; it never tells the password."""
    root = served.gateway.root
    places = ("--state", str(root / "state"), "--registry", str(root / "registry"), "--json")
    command = [sys.executable, "-m", "driftgate.gateway.cli.main", "doctor", *places]
    environment = {**os.environ, **served.settings}
    done = subprocess.run(command, env=environment, cwd=root, capture_output=True, text=True, check=False)
    assert SESAME not in done.stdout + done.stderr
    return {item["check"]: item["text"] for item in json.loads(done.stdout)}


def test_a_sound_server_is_found_sound(served: Served) -> None:
    """While Redis answers the probe says nothing of features, and the doctor how soon it answers."""
    assert ready(served) == {"name": "m", "ready": True}
    assert re.fullmatch(r"redis [0-9.]+ answers in [0-9.]+ ms", doctor(served)["feature store"])


@pytest.mark.alone
def test_predictions_go_on_without_redis(served: Served) -> None:
    """While Redis is silent every prediction is answered, marked and soon; afterwards features are back."""
    push(served, user="bob", age=20.0, score=200.0)
    assert predicted(served, "bob") == (223.0, "fresh=2")
    served.proxy.harm = Harm(silent=True)
    until(lambda: predicted(served, "bob") == (5.0, "timeout=2"), 1, "the row is no longer remembered")
    took_s = []
    for _ in range(60):
        began = time.perf_counter()
        value, said = predicted(served, "bob")
        took_s.append(time.perf_counter() - began)
        assert (value, said) == (5.0, "timeout=2")
    assert max(took_s) < 0.5
    assert float(np.median(took_s[10:])) < 0.03
    assert push(served, user="bob", age=21.0, score=200.0).status_code == 503
    why = "Redis cannot be asked: no answer in time"
    assert ready(served) == {"name": "m", "ready": True, "degraded": why}
    found = doctor(served)
    assert found["feature store"] == why
    assert "does not ask the feature store" in found["worker 0"]
    served.proxy.harm = NONE
    until(lambda: predicted(served, "bob")[1] == "fresh=2", 10, "features are back")


@pytest.mark.alone  # after the outage of the test above
def test_metrics_tell_of_redis(served: Served) -> None:
    """Where rows came from, round trips and the breaker are in the metrics; its changes are logged once."""
    gateway = served.gateway
    for _ in range(2):
        predicted(served, "somebody")
    metrics = gateway.client.get(f"{gateway.ports.metrics}/metrics").text
    found = {
        line.partition(" ")[0]: float(line.rpartition(" ")[2])
        for line in metrics.splitlines()
        if line.startswith("driftgate_feature_")
    }
    assert found['driftgate_feature_store_rows_total{source="fetched"}'] > 0
    assert found['driftgate_feature_store_round_trips_total{result="failed"}'] >= FAILURES_IN_A_ROW
    assert found['driftgate_feature_store_round_trips_total{result="ok"}'] > 0
    assert found["driftgate_feature_store_down"] == 0
    assert found["driftgate_feature_cache_bytes"] >= 0
    log = gateway.log.read_text()
    down, back = log.count('"feature_store_down"'), log.count('"feature_store_back"')
    assert (down >= 1, down) == (True, back)


@pytest.mark.alone  # after all that went wrong above
def test_the_password_is_nowhere_to_be_read(served: Served) -> None:
    """No log, metric, command line or file of the gateway holds the password of Redis."""
    gateway = served.gateway
    assert '"feature_store"' in gateway.log.read_text()
    assert SESAME not in gateway.log.read_text()
    assert SESAME not in gateway.client.get(f"{gateway.ports.metrics}/metrics").text
    for path in (gateway.root / "state").rglob("*"):
        assert not path.is_file() or SESAME.encode() not in path.read_bytes(), path
    for line in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            assert SESAME.encode() not in line.read_bytes()
