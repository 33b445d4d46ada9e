"""A version that harms is taken out by itself, and nobody notices but its operators."""

import time
from collections.abc import Callable
from pathlib import Path

import httpx

from driftgate.gateway.state.generations import GenerationStore
from driftgate.models.publish.onnx_file import Published

from harness.gateway import Gateway, until
from harness.models import killer_model, publish_model

Start = Callable[..., Gateway]
Publish = Callable[..., Published]

FATAL = 777
QUICK = {"DRIFTGATE__TIMING__REGISTRY_POLL_S": "0.1"}


def give_traffic(gateway: Gateway, **more: object) -> httpx.Response:
    """Give version 2 ten percent of the traffic, in parallel to what others may have set."""
    gateway.wait_version("m", 2)
    etag = gateway.admin("GET", "/api/models/m").headers["etag"]
    return gateway.client.put(
        f"{gateway.ports.admin}/api/models/m/traffic",
        json={"arms": {"1": 90, "2": 10}, **more},
        headers={"if-match": etag},
    )


def ejected(gateway: Gateway) -> bool:
    """Whether version 2 is ejected."""
    return "2" in gateway.model("m").get("ejected", {})


def ask(gateway: Gateway, key: int, first: float = 1.0) -> httpx.Response | None:
    """Ask for one row with a routing key; None if the worker died of it."""
    try:
        return gateway.infer("m", [[first, 2, 3, 4]], **{"x-routing-key": f"user-{key}"})
    except httpx.TransportError:
        return None


def test_a_version_that_kills_workers_is_ejected(
    start_gateway: Start, publish_version: Publish, registry_root: Path
) -> None:
    """Within ten seconds of the first crash its callers get the stable version's answer and no errors."""
    publish_version("m", version=1)
    publish_model(killer_model(FATAL), registry_root, version=2)
    (registry_root / "m" / "model.toml").write_text("[versions]\nlatest = 2\n")
    gateway = start_gateway(workers=2, environment=QUICK)
    gateway.admin("POST", "/api/models/m/promote", {"version": 1})
    assert give_traffic(gateway).status_code == 200
    failed_at = 0.0
    for key in range(100_000):
        if ask(gateway, key, FATAL) is None and not failed_at:
            failed_at = time.monotonic()
        if failed_at and ejected(gateway):
            break
    assert time.monotonic() - failed_at < 10
    newest = GenerationStore(gateway.layout.desired).newest_number()

    def followed() -> bool:
        workers = [status for status in gateway.statuses() if status.accepting]
        return len(workers) == 2 and all(worker.generation >= newest for worker in workers)

    until(followed, 10, "both workers accept, without the ejected version")
    in_force = gateway.model("m")
    answers = [ask(gateway, key, FATAL) for key in range(300)]
    assert {answer.status_code if answer else 0 for answer in answers} == {200}
    fallbacks = [a for a in answers if a is not None and a.headers.get("x-defaulted") == "fallback"]
    assert 10 <= len(fallbacks) <= 60
    assert all("version=1" in answer.headers["x-served-by"] for answer in fallbacks)
    assert in_force["labels"]["stable"] == 1
    assert any("SIGFPE" in problem for problem in in_force["problems"])


def ask_for_bytes(gateway: Gateway, key: int) -> httpx.Response:
    """Ask for one row with a routing key, and for the answer in binary."""
    tensor = {"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [1, 2, 3, 4]}
    return gateway.client.post(
        f"{gateway.ports.data}/v2/models/m/infer",
        json={"inputs": [tensor], "parameters": {"binary_data_output": True}},
        headers={"x-routing-key": f"user-{key}"},
    )


def test_a_version_without_numbers_is_ejected_until_forced(
    start_gateway: Start, publish_version: Publish, registry_root: Path
) -> None:
    """NaN for everything, in JSON or binary, costs a version its traffic within 50 answers, until forced."""
    publish_version("m", version=1)
    publish_version("m", version=2, scale=float("nan"))
    (registry_root / "m" / "model.toml").write_text("[versions]\nlatest = 2\n")
    gateway = start_gateway(environment=QUICK)
    gateway.admin("POST", "/api/models/m/promote", {"version": 1})
    assert give_traffic(gateway).status_code == 200
    useless = 0
    for key in range(5000):
        answer = ask_for_bytes(gateway, key) if key % 2 else ask(gateway, key)
        assert answer is not None
        useless += "version=2" in answer.headers["x-served-by"]
        if answer.headers.get("x-defaulted") == "fallback":
            break
        time.sleep(0.002)  # a pace at which fifty answers take a second
    assert 20 <= useless <= 50
    refused = give_traffic(gateway)
    assert (refused.status_code, "ejected" in refused.json()["error"]) == (409, True)
    assert give_traffic(gateway, force=True).status_code == 200
    assert gateway.model("m")["ejected"] == {}
