"""A model is published, served, asked, measured and stopped."""

from collections.abc import Callable

import httpx
import pytest

from driftgate.models.publish.onnx_file import Published

from harness.gateway import Gateway, until

Start = Callable[..., Gateway]
Publish = Callable[..., Published]


def test_a_published_model_answers(start_gateway: Start, publish_version: Publish) -> None:
    """Publish, serve, ask: the answer is the model's, and says who gave it."""
    publish_version("m", scale=2.0)
    gateway = start_gateway()
    answer = gateway.infer("m", [[1, 2, 3, 4]])
    assert answer.status_code == 200
    assert answer.json()["outputs"][0]["data"] == [20.0]
    assert answer.headers["x-served-by"] == "version=1, arm=stable, generation=1, why=hash"
    assert answer.json()["id"] == answer.headers["x-prediction-id"]


def test_an_empty_registry_is_ready(start_gateway: Start) -> None:
    """A gateway without models is ready, and says that it knows none."""
    gateway = start_gateway()
    assert gateway.ready()
    answer = gateway.infer("m", [[1, 2, 3, 4]])
    assert (answer.status_code, answer.json()) == (
        404,
        {"error": "Request for unknown model: 'm' is not found"},
    )


def test_every_request_is_counted(start_gateway: Start, publish_version: Publish) -> None:
    """After the last answer, metrics and statistics agree with what the client saw, over all workers."""
    publish_version("m")
    gateway = start_gateway(workers=2)
    codes = [httpx.post(f"{gateway.ports.data}/v2/models/m/infer", content=b"{}").status_code]
    codes += [gateway.infer("m", [[1, 2, 3, 4]] * rows).status_code for rows in (1, 2, 3, 4)]
    assert codes == [400, 200, 200, 200, 200]

    def counted() -> dict[str, float]:
        lines = httpx.get(f"{gateway.ports.metrics}/metrics").text.splitlines()
        return {
            name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if line[0] != "#")
        }

    labels = 'model="m",version="1"'
    until(lambda: counted().get(f"driftgate_rows_total{{{labels}}}") == 10, 2, "ten rows are counted")
    metrics = counted()
    assert metrics[f'driftgate_requests_total{{code="200",{labels}}}'] == 4
    assert metrics[f'driftgate_requests_total{{code="400",{labels}}}'] == 1
    stats = gateway.client.get(f"{gateway.ports.data}/v2/models/m/stats").json()["model_stats"][0]
    assert (stats["inference_count"], stats["inference_stats"]["success"]["count"]) == (10, 4)


def test_a_damaged_counter_file_costs_only_its_slot(start_gateway: Start, publish_version: Publish) -> None:
    """One corrupt counter file is reported and does not break the metrics."""
    publish_version("m")
    gateway = start_gateway()
    stray = gateway.layout.slot(7)
    stray.mkdir()
    (stray / "counters").write_bytes(b"rubbish")
    answer = httpx.get(f"{gateway.ports.metrics}/metrics")
    assert answer.status_code == 200
    assert "driftgate_unreadable_counter_files 1.0" in answer.text


@pytest.mark.parametrize(
    ("method", "path", "status", "error"),
    [
        ("GET", "/nope", 404, "Not Found"),
        ("GET", "/v2/models/nope", 404, "Request for unknown model: 'nope' is not found"),
        ("GET", "/v2/models/m/versions/9", 404, "Request for unknown model: 'm' version 9 is not found"),
        ("GET", "/v2/models/m/infer", 405, "Method Not Allowed"),
        ("POST", "/v2", 405, "Method Not Allowed"),
        ("GET", "/v2/repository/index", 405, "Method Not Allowed"),
        ("GET", "/v2/models/m/versions/9/ready", 400, "Model version not ready"),
        ("GET", "/v2/models/nope/stats", 400, "requested model 'nope' is not available"),
        ("POST", "/v2/models/nope/infer", 404, "Request for unknown model: 'nope' is not found"),
        (
            "POST",
            "/v2/models/m/versions/9/infer",
            404,
            "Request for unknown model: 'm' version 9 is not found",
        ),
    ],
)
def test_errors_have_the_protocols_wording(
    shared_gateway: Gateway, method: str, path: str, status: int, error: str
) -> None:
    """What is not there is said in the words that clients of the protocol know."""
    answer = shared_gateway.client.request(method, shared_gateway.ports.data + path)
    assert (answer.status_code, answer.json()) == (status, {"error": error})


def counted(gateway: Gateway) -> dict[str, float]:
    """The counts of predictions by code, model and version."""
    lines = gateway.client.get(f"{gateway.ports.metrics}/metrics").text.splitlines()
    found = (line.rsplit(" ", 1) for line in lines if line.startswith("driftgate_requests_total{"))
    return {labels: float(count) for labels, count in found}


def test_predictions_of_unknown_models_are_counted_and_logged(shared_gateway: Gateway) -> None:
    """A refused prediction has an id, a count and a line in the log even if its model is unknown."""
    before = counted(shared_gateway)
    answer = shared_gateway.client.post(f"{shared_gateway.ports.data}/v2/models/not-here/predict")
    assert answer.status_code == 404
    unknown = 'driftgate_requests_total{code="404",model="",version=""}'
    assert counted(shared_gateway) == {**before, unknown: before.get(unknown, 0) + 1}
    prediction_id = answer.headers["x-prediction-id"]
    until(lambda: prediction_id in shared_gateway.log.read_text(), 5, "the refusal is logged")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v2/models/m/infer", 405),
        ("DELETE", "/v2/models/not-here/predict", 405),
        ("POST", "/v2/models/m/infer/more", 404),
        ("POST", "/v2/models", 405),
        ("GET", "/v2/models/not-here", 404),
    ],
)
def test_what_is_no_prediction_is_not_counted_as_one(
    shared_gateway: Gateway, method: str, path: str, status: int
) -> None:
    """Other methods and other paths are answered and leave the counts of predictions alone."""
    before = counted(shared_gateway)
    answer = shared_gateway.client.request(method, f"{shared_gateway.ports.data}{path}")
    assert (answer.status_code, list(answer.json())) == (status, ["error"])
    assert counted(shared_gateway) == before


def test_loading_is_refused_on_the_data_port(shared_gateway: Gateway) -> None:
    """Clients of the data port are told where models are loaded and unloaded."""
    url = f"{shared_gateway.ports.data}/v2/repository/models/m/unload"
    answer = shared_gateway.client.post(url)
    assert answer.status_code == 403
    assert shared_gateway.ports.admin.rsplit(":", 1)[1] in answer.json()["error"]


@pytest.mark.parametrize(
    "path", ["/v2/models/m", "/v2/models/m/", "/v2/models/m/versions/1", "/v2/models/m/config"]
)
def test_metadata_is_found_with_and_without_slash(shared_gateway: Gateway, path: str) -> None:
    """Paths are served directly, never by a redirect that clients do not follow."""
    answer = shared_gateway.client.get(shared_gateway.ports.data + path)
    assert (answer.status_code, answer.json()["name"]) == (200, "m")


def test_a_second_gateway_on_the_same_state_is_refused(
    start_gateway: Start, publish_version: Publish
) -> None:
    """Two gateways never share a state directory; the second says who has it."""
    publish_version("m")
    first = start_gateway()
    with pytest.raises(pytest.fail.Exception, match=str(first.process.pid)):
        start_gateway()


def test_the_data_plane_describes_its_models(shared_gateway: Gateway) -> None:
    """The document on the data port has the operations of every model, with rows that it takes."""
    answer = shared_gateway.client.get(f"{shared_gateway.ports.data}/openapi.json")
    assert answer.headers["content-type"] == "application/json"
    call = answer.json()["paths"]["/v2/models/m/predict"]["post"]
    example = call["requestBody"]["content"]["application/json"]["example"]
    predicted = shared_gateway.client.post(f"{shared_gateway.ports.data}/v2/models/m/predict", json=example)
    assert predicted.status_code == 200
