"""Feast's Python feature server with 20 features in SQLite, run by a Python that has Feast installed."""

import json
import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from loadtests.gateway import Failed, on_cores, until
from loadtests.target import Question
from loadtests.wire import Address, render

READY_WITHIN_S = 60.0
SETUP_WITHIN_S = 300.0
ENTITIES = 2000
NAMES = [f"f{number}" for number in range(10, 30)]
_JSON = {"Content-Type": "application/json"}
_CONFIG = """
project: bench
provider: local
registry: registry.db
online_store:
  type: sqlite
  path: online.db
entity_key_serialization_version: 3
"""
_SETUP = f"""
import datetime
import numpy as np
import pandas as pd
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, ValueType
from feast.types import Float32

names = {NAMES!r}
now = datetime.datetime.now(datetime.timezone.utc)
frame = pd.DataFrame(np.random.default_rng(1).random(({ENTITIES}, len(names)), np.float32), columns=names)
frame.insert(0, "user", [f"user-{{number}}" for number in range({ENTITIES})])
frame["event_timestamp"] = now
frame.to_parquet("users.parquet")
user = Entity(name="user", join_keys=["user"], value_type=ValueType.STRING)
view = FeatureView(
    name="users",
    entities=[user],
    schema=[Field(name=name, dtype=Float32) for name in names],
    source=FileSource(path="users.parquet", timestamp_field="event_timestamp"),
    ttl=datetime.timedelta(days=30),
)
store = FeatureStore(repo_path=".")
store.apply([user, view])
store.write_to_online_store("users", frame)
"""


@contextmanager
def serving_feast(repository: Path, python: Path, cores: frozenset[int]) -> Iterator[Address]:
    """Fill an online store and serve it with one worker on these cores; raise Failed if that breaks."""
    repository.mkdir()
    (repository / "feature_store.yaml").write_text(_CONFIG)
    environment = {**os.environ, "FEAST_USAGE": "False", "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        [str(python), "-c", _SETUP],
        cwd=repository,
        env=environment,
        capture_output=True,
        text=True,
        timeout=SETUP_WITHIN_S,
    )
    if done.returncode:
        raise Failed(f"Feast cannot be set up: {done.stderr[-1000:]}")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        str(python.parent / "feast"),
        "serve",
        "--port",
        str(port),
        "--no-access-log",
        "--workers",
        "1",
    ]
    with on_cores(cores), open(repository / "server.log", "wb") as log:
        process = subprocess.Popen(command, cwd=repository, env=environment, stdout=log, stderr=log)
    try:
        url = f"http://127.0.0.1:{port}"
        until(lambda: _answers(url), READY_WITHIN_S, "Feast answers")
        yield Address.of(url)
    finally:
        process.terminate()
        process.wait()


def feast_questions() -> tuple[Question, ...]:
    """Return requests for 20 features of one entity each."""
    return tuple(
        Question(render("POST", "/get-online-features", _body(number), _JSON))
        for number in range(0, ENTITIES, 4)
    )


def _body(number: int) -> bytes:
    features = [f"users:{name}" for name in NAMES]
    return json.dumps({"features": features, "entities": {"user": [f"user-{number}"]}}).encode()


def _answers(url: str) -> bool:
    """Tell whether the server has the values; raise Failed where it answers without them."""
    try:
        answer = httpx.post(
            f"{url}/get-online-features", content=_body(0), headers=_JSON, timeout=5, trust_env=False
        )
    except httpx.TransportError:
        return False
    if answer.status_code != 200 or answer.json()["results"][1]["statuses"] != ["PRESENT"]:
        raise Failed(f"Feast answers {answer.status_code}: {answer.text[:300]}")
    return True
