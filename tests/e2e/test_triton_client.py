"""The field's most used client, unchanged: tritonclient over HTTP, sync and asyncio, JSON and binary."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import tritonclient.http as triton
import tritonclient.http.aio as triton_aio
from tritonclient.utils import InferenceServerException

from harness.gateway import Gateway, running
from harness.models import mixed_model, publish_model

ROWS = 3
INPUTS: dict[str, Any] = {
    "number": np.array([[1.5, -2.0], [0.25, 3.0], [np.float32(1e30), 4.0]], np.float32),
    "count": np.array([[1], [2**62], [-3]], np.int64),
    "flag": np.array([[True], [False], [True]]),
    "text": np.array([["Lyon"], ["naïve ☃"], [""]], object),
}
TRITON = {"number": "FP32", "count": "INT64", "flag": "BOOL", "text": "BYTES"}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway with a model of several inputs and outputs of several types, and two versions of it."""
    root = tmp_path_factory.mktemp("triton")
    publish_model(mixed_model(), root / "registry", "mixed")
    with running(root) as started:
        yield started


@pytest.fixture
def client(gateway: Gateway) -> Iterator[triton.InferenceServerClient]:
    """A synchronous client."""
    with triton.InferenceServerClient(gateway.ports.data.removeprefix("http://")) as opened:
        yield opened


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What plain onnxruntime answers."""
    path: Path = tmp_path_factory.mktemp("plain") / "mixed.onnx"
    path.write_bytes(mixed_model().SerializeToString())
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, INPUTS), strict=True))


def tensors(module: Any, binary: bool) -> list[Any]:
    """The inputs as the client sends them."""
    made = []
    for name, array in INPUTS.items():
        tensor = module.InferInput(name, list(array.shape), TRITON[name])
        tensor.set_data_from_numpy(array, binary_data=binary)
        made.append(tensor)
    return made


def outputs(binary: bool) -> list[triton.InferRequestedOutput]:
    """All outputs, asked for by name."""
    names = ("doubled", "next", "same_flag", "same_text")
    return [triton.InferRequestedOutput(name, binary_data=binary) for name in names]


def check(result: Any, expected: dict[str, Any]) -> None:
    """Every output is onnxruntime's, to the bit."""
    for name, array in expected.items():
        found = result.as_numpy(name)
        if array.dtype == object:
            found = np.array([item.decode() if isinstance(item, bytes) else item for item in found.ravel()])
            assert found.tolist() == array.ravel().tolist()
        else:
            assert found.dtype == array.dtype
            np.testing.assert_array_equal(found, array)


@pytest.mark.parametrize("binary_in", [True, False])
@pytest.mark.parametrize("binary_out", [True, False])
def test_answers_equal_onnxruntime(
    client: triton.InferenceServerClient, expected: dict[str, Any], binary_in: bool, binary_out: bool
) -> None:
    """Binary or JSON, in or out: the answer is what onnxruntime gives, to the bit."""
    result = client.infer("mixed", tensors(triton, binary_in), outputs=outputs(binary_out), request_id="7")
    check(result, expected)
    assert result.get_response()["id"] == "7"
    assert result.get_response()["model_version"] == "1"


@pytest.mark.parametrize("compression", ["gzip", "deflate"])
def test_defaults_and_compression(
    client: triton.InferenceServerClient, expected: dict[str, Any], compression: str
) -> None:
    """Without requested outputs everything comes back binary, compressed requests included."""
    result = client.infer("mixed", tensors(triton, True), request_compression_algorithm=compression)
    check(result, expected)


def test_asyncio_client(gateway: Gateway, expected: dict[str, Any]) -> None:
    """The asyncio client gets the same answers, many at a time."""

    async def ask() -> list[Any]:
        url = gateway.ports.data.removeprefix("http://")
        async with triton_aio.InferenceServerClient(url) as client:
            return await asyncio.gather(
                *(client.infer("mixed", tensors(triton, bool(n % 2))) for n in range(20))
            )

    for result in asyncio.run(ask()):
        check(result, expected)


def test_health_and_metadata(client: triton.InferenceServerClient) -> None:
    """Health, metadata, config, index and statistics parse and agree."""
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("mixed")
    assert not client.is_model_ready("mixed", "9")
    assert "statistics" in client.get_server_metadata()["extensions"]
    metadata = client.get_model_metadata("mixed")
    assert {item["name"]: item["datatype"] for item in metadata["inputs"]} == TRITON
    assert client.get_model_metadata("mixed", "1")["versions"] == ["1"]
    names = [item["name"] for item in client.get_model_config("mixed")["input"]]
    assert names == [item["name"] for item in metadata["inputs"]]
    assert client.get_model_repository_index() == [{"name": "mixed", "version": "1", "state": "READY"}]
    before = client.get_inference_statistics("mixed")["model_stats"][0]["inference_count"]
    client.infer("mixed", tensors(triton, True))
    after = client.get_inference_statistics()["model_stats"][0]["inference_count"]
    assert after - before == ROWS


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda client: client.infer("nope", tensors(triton, True)), "unknown model: 'nope' is not found"),
        (lambda client: client.infer("mixed", tensors(triton, True)[:3]), "missing required input"),
        (lambda client: client.infer("mixed", tensors(triton, True), model_version="9"), "version 9"),
        (lambda client: client.load_model("mixed"), "admin port"),
        (lambda client: client.unload_model("mixed"), "admin port"),
    ],
)
def test_errors_are_readable(
    client: triton.InferenceServerClient, call: Callable[[triton.InferenceServerClient], object], message: str
) -> None:
    """What goes wrong reaches the caller as the client's own exception, with our text."""
    with pytest.raises(InferenceServerException, match=message):
        call(client)


def test_loading_works_on_the_admin_port(gateway: Gateway) -> None:
    """The same client loads and lists models on the admin port."""
    with triton.InferenceServerClient(gateway.ports.admin.removeprefix("http://")) as admin:
        admin.load_model("mixed")
        assert [item["state"] for item in admin.get_model_repository_index()] == ["READY"]


def test_classification(client: triton.InferenceServerClient) -> None:
    """The classification extension answers the largest values with their places."""
    wanted = [triton.InferRequestedOutput("doubled", binary_data=False, class_count=1)]
    result = client.infer("mixed", tensors(triton, True), outputs=wanted)
    assert result.as_numpy("doubled").ravel().tolist()[0] == "3.000000:0"


def test_what_cannot_be_set_can_be_read(client: triton.InferenceServerClient) -> None:
    """Logging, tracing and shared memory tell their state; no attempt to change it succeeds."""
    assert client.get_log_settings()["log_verbose_level"] == 0
    for model in (None, "mixed"):
        assert client.get_trace_settings(model)["trace_level"] == ["OFF"]
    assert client.get_system_shared_memory_status() == []
    assert client.get_cuda_shared_memory_status() == []
    changes: list[Callable[[], object]] = [
        lambda: client.update_log_settings({"log_verbose_level": 9}),
        lambda: client.update_trace_settings("mixed", {"trace_level": ["TIMESTAMPS"]}),
        lambda: client.register_system_shared_memory("region", "/region", 8),
        lambda: client.unregister_cuda_shared_memory(),
    ]
    for change in changes:
        with pytest.raises(InferenceServerException) as refused:
            change()
        assert refused.value.status() == "403"
