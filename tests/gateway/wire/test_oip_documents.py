"""The documents that clients of the protocol read beside predictions."""

import json

import pytest

from driftgate.gateway.wire import oip_documents as documents
from driftgate.gateway.wire.oip_documents import BatchStatistics, Duration, IndexEntry, VersionStatistics
from driftgate.models.schema.manifest import Manifest

from harness.protocol import manifest_of

COLUMNS_AND_ROWS = manifest_of(
    [("x", "FP32", (-1, 4)), ("t", "BYTES", (-1,))], [("label", "INT64", (-1,)), ("p", "FP64", (-1, 2))]
)


def test_server_metadata() -> None:
    """The extensions are there: one client iterates over them, and needs `statistics` for its own."""
    metadata = json.loads(documents.server_metadata("1.2.3"))
    assert (metadata["name"], metadata["version"]) == ("driftgate", "1.2.3")
    assert {"statistics", "binary_tensor_data", "classification"} <= set(metadata["extensions"])


def test_model_metadata() -> None:
    """Metadata has versions as text and the signature's tensors."""
    assert json.loads(documents.model_metadata(COLUMNS_AND_ROWS, [1, 2])) == {
        "name": "m",
        "versions": ["1", "2"],
        "platform": "onnxruntime_onnx",
        "inputs": [
            {"name": "x", "datatype": "FP32", "shape": [-1, 4]},
            {"name": "t", "datatype": "BYTES", "shape": [-1]},
        ],
        "outputs": [
            {"name": "label", "datatype": "INT64", "shape": [-1]},
            {"name": "p", "datatype": "FP64", "shape": [-1, 2]},
        ],
    }


def test_config_of_a_model_that_may_be_batched() -> None:
    """Such a model has a batch size, the key that selects its scheduler, and dimensions without rows."""
    config = json.loads(documents.model_config(COLUMNS_AND_ROWS, [2], workers=4))
    assert config["max_batch_size"] > 0
    assert "dynamic_batching" in config
    assert config["input"][0] == {"name": "x", "data_type": "TYPE_FP32", "dims": [4]}
    assert config["input"][1] == {
        "name": "t",
        "data_type": "TYPE_STRING",
        "dims": [1],
        "reshape": {"shape": []},
    }
    assert [output["name"] for output in config["output"]] == ["label", "p"]
    assert config["instance_group"][0]["count"] == 4
    assert config["version_policy"] == {"specific": {"versions": [2]}}


@pytest.mark.parametrize(
    "manifest", [manifest_of(independent_rows=False), manifest_of([("x", "FP32", (2, 4))])]
)
def test_config_of_a_model_that_may_not(manifest: Manifest) -> None:
    """Where rows depend on each other or are not counted there is no batch size; dimensions are whole."""
    config = json.loads(documents.model_config(manifest, [2]))
    assert config["max_batch_size"] == 0
    assert not {"dynamic_batching", "sequence_batching", "ensemble_scheduling"} & set(config)
    assert config["input"][0]["dims"] == list(manifest.signature.inputs[0].shape)


def test_statistics() -> None:
    """Statistics have every key that load tools subtract."""
    version = VersionStatistics(
        name="m",
        version=2,
        last_inference_ms=5,
        inference_count=40,
        execution_count=10,
        success=Duration(20, 1000),
        batches=(BatchStatistics(4, compute_infer=Duration(10, 800)),),
    )
    none = {"count": 0, "ns": 0}
    assert json.loads(documents.model_statistics([version])) == {
        "model_stats": [
            {
                "name": "m",
                "version": "2",
                "last_inference": 5,
                "inference_count": 40,
                "execution_count": 10,
                "inference_stats": {
                    "success": {"count": 20, "ns": 1000},
                    "fail": none,
                    "queue": none,
                    "compute_input": none,
                    "compute_infer": none,
                    "compute_output": none,
                    "cache_hit": none,
                    "cache_miss": none,
                },
                "response_stats": {},
                "batch_stats": [
                    {
                        "batch_size": 4,
                        "compute_input": none,
                        "compute_infer": {"count": 10, "ns": 800},
                        "compute_output": none,
                    }
                ],
                "memory_usage": [],
            }
        ]
    }


def test_repository_index() -> None:
    """Versions are text and absent where none was loaded; a reason stands only where there is one."""
    entries = [IndexEntry("m", 2, "READY"), IndexEntry("n", None, "UNAVAILABLE", "broken")]
    assert json.loads(documents.repository_index(entries)) == [
        {"name": "m", "version": "2", "state": "READY"},
        {"name": "n", "state": "UNAVAILABLE", "reason": "broken"},
    ]


def test_small_bodies() -> None:
    """Health, lists and errors have the keys that clients look for."""
    assert json.loads(documents.live_body()) == {"live": True}
    assert json.loads(documents.ready_body(False)) == {"ready": False}
    assert json.loads(documents.model_ready_body("m", True)) == {"name": "m", "ready": True}
    assert json.loads(documents.model_list(["a", "b"])) == {"models": ["a", "b"]}
    assert json.loads(documents.error_body('say "no"')) == {"error": 'say "no"'}
