"""The documents of the Open Inference Protocol beside predictions, as JSON bytes in its clients' shape. Pure.

What is where follows what clients read: one looks for "statistics" in `extensions`, one parses every body.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from driftgate.models.schema.client_manifest import client_manifest, optional_inputs
from driftgate.models.schema.manifest import Manifest
from driftgate.models.schema.signature import TensorSpec

SERVER_NAME = "driftgate"
PLATFORM = "onnxruntime_onnx"
MAX_BATCH_SIZE = 1024
"""What a model with independent rows states as its largest batch; requests may be larger all the same."""

EXTENSIONS = (
    "classification",
    "model_repository",
    "model_repository(unload_dependents)",
    "schedule_policy",
    "model_configuration",
    "binary_tensor_data",
    "parameters",
    "statistics",
)

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Duration:
    """How often something happened and how long it took in all, in nanoseconds."""

    count: int = 0
    ns: int = 0


@dataclass(frozen=True, slots=True)
class BatchStatistics:
    """The executions of one batch size."""

    batch_size: int
    compute_input: Duration = Duration()
    compute_infer: Duration = Duration()
    compute_output: Duration = Duration()


@dataclass(frozen=True, slots=True)
class VersionStatistics:
    """Counters of one version since the start, over the whole machine; none ever falls.

    `inference_count` counts rows, `execution_count` calls of the runtime; `last_inference_ms` is Unix time.
    """

    name: str
    version: int
    last_inference_ms: int = 0
    inference_count: int = 0
    execution_count: int = 0
    success: Duration = Duration()
    fail: Duration = Duration()
    queue: Duration = Duration()
    compute_input: Duration = Duration()
    compute_infer: Duration = Duration()
    compute_output: Duration = Duration()
    batches: tuple[BatchStatistics, ...] = ()


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """One line of the repository index; `version` is None for a model that was never loaded."""

    name: str
    version: int | None
    state: str
    reason: str = ""


def server_metadata(version: str) -> bytes:
    """Return the server's name, its `version` and the extensions that it speaks."""
    return _encode({"name": SERVER_NAME, "version": version, "extensions": EXTENSIONS})


def model_metadata(manifest: Manifest, versions: Iterable[int]) -> bytes:
    """Return a model's metadata: what clients send and get, and which `versions` can be asked for."""
    signature = client_manifest(manifest).signature
    return _encode(
        {
            "name": manifest.name,
            "versions": [str(version) for version in versions],
            "platform": PLATFORM,
            "inputs": list(map(_tensor, signature.inputs)),
            "outputs": list(map(_tensor, signature.outputs)),
        }
    )


def model_config(manifest: Manifest, versions: Iterable[int], workers: int = 1) -> bytes:
    """Return a model's configuration as load tools read it.

    `max_batch_size` is positive, and dimensions are given without rows, only where rows of several requests
    may be computed together; `dynamic_batching` is then there too, which selects that scheduler in clients.
    Inputs that a request may leave out are `optional`.
    """
    signature, optional = client_manifest(manifest).signature, optional_inputs(manifest)
    batched = signature.batched and manifest.independent_rows
    config: dict[str, Any] = {
        "name": manifest.name,
        "platform": PLATFORM,
        "backend": "onnxruntime",
        "version_policy": {"specific": {"versions": list(versions)}},
        "max_batch_size": MAX_BATCH_SIZE if batched else 0,
        "input": [
            _config_tensor(spec, batched) | ({"optional": True} if spec.name in optional else {})
            for spec in signature.inputs
        ],
        "output": [_config_tensor(spec, batched) for spec in signature.outputs],
        "instance_group": [
            {"name": f"{manifest.name}_0", "kind": "KIND_CPU", "count": workers, "gpus": [], "profile": []}
        ],
        "default_model_filename": "model.onnx",
        "parameters": {},
        "model_warmup": [],
    }
    if batched:
        config["dynamic_batching"] = {"preferred_batch_size": [], "max_queue_delay_microseconds": 0}
    return _encode(config)


def model_statistics(versions: Iterable[VersionStatistics]) -> bytes:
    """Return the statistics of these versions."""
    return _encode({"model_stats": list(map(_statistics, versions))})


def repository_index(entries: Iterable[IndexEntry]) -> bytes:
    """Return the repository index: versions as text, `reason` only where there is one."""
    return _encode(list(map(_index_item, entries)))


def model_list(names: Iterable[str]) -> bytes:
    """Return the names of all models."""
    return _encode({"models": list(names)})


def live_body() -> bytes:
    """Return the body of a live server; one client looks into it, the others at the status alone."""
    return b'{"live":true}'


def ready_body(ready: bool) -> bytes:
    """Return the body that says whether the server is ready."""
    return _encode({"ready": ready})


def model_ready_body(name: str, ready: bool, degraded: str = "") -> bytes:
    """Return the body that says whether a model is ready, and what it does without meanwhile."""
    body: dict[str, Any] = {"name": name, "ready": ready}
    return _encode({**body, "degraded": degraded} if degraded else body)


def error_body(text: str) -> bytes:
    """Return the body of every answer that is not 200."""
    return _encode({"error": text})


def _tensor(spec: TensorSpec) -> dict[str, Any]:
    return {"name": spec.name, "datatype": spec.datatype, "shape": spec.shape}


def _config_tensor(spec: TensorSpec, batched: bool) -> dict[str, Any]:
    kind = "STRING" if spec.datatype == "BYTES" else spec.datatype
    dims: Sequence[int] = spec.shape[1:] if batched else spec.shape
    # a tensor needs a dimension in this format: one value per row is written [1], with its true shape beside
    scalar: dict[str, Any] = {"reshape": {"shape": []}} if not dims else {}
    return {"name": spec.name, "data_type": f"TYPE_{kind}", "dims": dims or [1], **scalar}


def _statistics(version: VersionStatistics) -> dict[str, Any]:
    return {
        "name": version.name,
        "version": str(version.version),
        "last_inference": version.last_inference_ms,
        "inference_count": version.inference_count,
        "execution_count": version.execution_count,
        "inference_stats": {
            "success": version.success,
            "fail": version.fail,
            "queue": version.queue,
            "compute_input": version.compute_input,
            "compute_infer": version.compute_infer,
            "compute_output": version.compute_output,
            "cache_hit": Duration(),
            "cache_miss": Duration(),
        },
        "response_stats": {},
        "batch_stats": version.batches,
        "memory_usage": [],
    }


def _index_item(entry: IndexEntry) -> dict[str, str]:
    item = {"name": entry.name}
    if entry.version is not None:
        item["version"] = str(entry.version)
    item["state"] = entry.state
    if entry.reason:
        item["reason"] = entry.reason
    return item
