"""`driftgate.publish`: a fitted estimator, or an ONNX file, becomes an immutable version in a registry."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from driftgate.models.convert.agreement import TOLERANCE
from driftgate.models.convert.estimator import MATRIX_INPUT, Request, boosters_in, convert
from driftgate.models.convert.frames import frame_sha256, signature_columns, signature_feeds
from driftgate.models.convert.originals import as_frame, is_arrays, rows_for
from driftgate.models.convert.sklearn import fitted_core
from driftgate.models.convert.stated import (
    StatedColumn,
    StatedTask,
    stated_columns,
    stated_task,
    with_stated_columns,
    with_stated_task,
)
from driftgate.models.convert.tasks import graph_task
from driftgate.models.convert.torch import is_torch, torch_to_onnx
from driftgate.models.errors import InvalidInput
from driftgate.models.publish.describe import Description
from driftgate.models.publish.onnx_file import (
    GraphFiles,
    Published,
    Target,
    graph_signature,
    publish_graph,
    read_graph,
)
from driftgate.models.publish.provenance import provenance_now
from driftgate.models.publish.reference_rows import Profiler, profiled
from driftgate.models.publish.to_server import publish_to_server
from driftgate.models.remote.client import Server
from driftgate.models.run.examples import MAX_ROWS, first_rows
from driftgate.models.run.runtime import Array, Session
from driftgate.models.schema.bare import bare_columns
from driftgate.models.schema.bind import DeclaredView
from driftgate.models.schema.binding import FeatureBinding
from driftgate.models.schema.manifest import Column, Manifest, Task
from driftgate.models.schema.signature import Signature
from driftgate.models.schema.stated_binding import StatedBinding, stated_binding

LIBRARIES = ("driftgate", "numpy", "onnx", "onnxruntime", "pandas", "scikit-learn", "skl2onnx")
TORCH_LIBRARIES = ("driftgate", "numpy", "onnx", "onnxruntime", "torch")
TORCH_INPUT = "input"
DEFAULT_REGISTRY = "registry"

ReadViews = Callable[[Path], Sequence[DeclaredView]]
"""Reads the feature views that are declared in a registry."""


@dataclass(frozen=True)
class Stated:
    """What the caller says beside the model itself."""

    columns: tuple[StatedColumn, ...]
    task: StatedTask
    target: str | None
    meta: Mapping[str, str]
    tolerance: float


def publish(  # noqa: PLR0913 - the public call takes what a person has, each under its own name
    estimator_or_path: Any,
    *,
    name: str,
    version: int | None = None,
    registry: str | Path | None = None,
    examples: Any = None,
    reference: Any = None,
    columns: Sequence[Column | StatedColumn | Mapping[str, Any]] | None = None,
    task: Task | StatedTask | Mapping[str, Any] | None = None,
    target: str | None = None,
    features: str | Path | Mapping[str, Any] | FeatureBinding | StatedBinding | None = None,
    views: Sequence[DeclaredView] | ReadViews | None = None,
    meta: Mapping[str, str] | None = None,
    tolerance: float | None = None,
    server: str | Server | None = None,
    token: str | None = None,
    profiler: Profiler | None = None,
) -> Published:
    """Publish a fitted estimator or pipeline, a `torch.nn.Module`, or the path of an ONNX file.

    `examples` are rows (data frame, matrix, list of dicts; for ONNX and torch also arrays by input name) on
    which the ONNX form is compared with the original and whose first 64 are kept as golden rows; without them
    the rows of `reference`, the training data, are taken. `reference` also shows the columns' types,
    categories and missing values. `columns` and `task` override what is inferred, field by field. `target`
    is the label's column: it names the label and is no input. `features` (a binding file, or the same as a
    mapping) says which columns are filled with stored features; it is compared with the declared `views`, or
    with those that a function of that name reads from the registry. `tolerance` is the largest difference to
    allow. `profiler` makes the version's reference profile of the reference rows and the answers to them.

    Without `version` the next number is taken; the same content again is a no-op. It goes into the directory
    `registry` ("registry" by default), or into the registry of the gateway whose admin API `server` is, with
    `token` if it asks for one. Raises a ModelError: ConversionError, VersionExists, InvalidName,
    InvalidManifest, InvalidInput, ServerRefused or ServerUnreachable.
    """
    if registry is not None and server is not None:
        raise InvalidInput("give either registry= or server=: a version goes to one place")
    destination = Target(name, Path(registry or DEFAULT_REGISTRY), version)
    stated = Stated(
        columns=stated_columns(columns),
        task=stated_task(task),
        target=target,
        meta=dict(meta or {}),
        tolerance=TOLERANCE if tolerance is None else tolerance,
    )
    binding = stated_binding(features)
    examples = reference if examples is None else examples
    reference = examples if reference is None else reference
    if isinstance(estimator_or_path, str | Path):
        graph, known = _from_file(Path(estimator_or_path), examples, reference, stated)
    elif is_torch(estimator_or_path):
        graph, known = _from_torch(estimator_or_path, examples, stated)
    else:
        graph, known = _from_estimator(estimator_or_path, examples, reference, stated)
    if callable(views):
        views = views(destination.registry) or None if server is None and binding is not None else None
    declared = None if views is None else {view.name: view for view in views}
    profile = _profile(profiler, estimator_or_path, reference, target)
    known = replace(known, binding=binding, views=declared, profile=profile)
    if server is None:
        return publish_graph(graph, destination, known)
    gateway = server if isinstance(server, Server) else Server(server, token)
    return publish_to_server(graph, known, destination, gateway)


def _profile(
    profiler: Profiler | None, estimator_or_path: Any, reference: Any, target: str | None
) -> Callable[[Session, Manifest], bytes] | None:
    """Return what makes the profile, of a data frame of the model's columns or of arrays by input name."""
    if profiler is None or reference is None:
        return None
    if is_arrays(reference):
        rows = reference
    elif isinstance(estimator_or_path, str | Path):
        rows = as_frame(reference, target)
    elif is_torch(estimator_or_path):
        rows = {TORCH_INPUT: as_frame(reference, target).to_numpy(np.float32)}
    else:
        shown = rows_for(estimator_or_path, reference, target)
        rows = shown.frame if shown.named else {MATRIX_INPUT: shown.matrix}
    return partial(profiled, profiler, rows)


def _from_estimator(
    estimator: Any, examples: Any, reference: Any, stated: Stated
) -> tuple[GraphFiles, Description]:
    if examples is None:
        raise InvalidInput(
            "an estimator needs examples=: rows as it was fitted on, which show its columns and on which its "
            "ONNX form is compared with it"
        )
    request = Request(
        estimator=estimator,
        examples=rows_for(estimator, examples, stated.target),
        reference=rows_for(estimator, reference, stated.target),
        stated=stated.columns,
        tolerance=stated.tolerance,
        label_name=stated.target,
    )
    converted = convert(request)
    libraries = (*LIBRARIES, *boosters_in(estimator))
    kind = type(fitted_core(estimator))
    return GraphFiles(converted.model), Description(
        examples=first_rows(converted.feeds),
        columns=converted.columns,
        task=with_stated_task(converted.task, stated.task),
        meta=stated.meta,
        provenance=provenance_now(
            "scikit-learn", libraries, f"{kind.__module__}.{kind.__qualname__}", _data_sha256(reference)
        ),
        agreement=converted.agreement,
    )


def _from_file(path: Path, examples: Any, reference: Any, stated: Stated) -> tuple[GraphFiles, Description]:
    graph = read_graph(path)
    signature = graph_signature(graph, path)
    columns = bare_columns(signature)
    shown = None if is_arrays(reference) or reference is None else as_frame(reference, stated.target)
    if shown is not None:
        columns = signature_columns(columns, shown)
    named = with_stated_columns(columns, stated.columns)
    return graph, Description(
        examples=_feeds(examples, signature, named, stated.target),
        columns=named if shown is not None or stated.columns else None,
        task=_graph_task(graph, signature, stated),
        meta=stated.meta,
        provenance=provenance_now("onnx", training_data_sha256=_data_sha256(reference)),
    )


def _from_torch(module: Any, examples: Any, stated: Stated) -> tuple[GraphFiles, Description]:
    if examples is None:
        raise InvalidInput("a torch module needs examples=: a matrix, or arrays by input name")
    arrays = (
        examples
        if is_arrays(examples)
        else {TORCH_INPUT: as_frame(examples, stated.target).to_numpy(np.float32)}
    )
    model, agreement = torch_to_onnx(module, arrays, stated.tolerance)
    graph = GraphFiles(model)
    signature = graph_signature(graph)
    columns = bare_columns(signature)
    if not is_arrays(examples):
        columns = signature_columns(columns, as_frame(examples, stated.target))
    return graph, Description(
        examples=first_rows(arrays),
        columns=with_stated_columns(columns, stated.columns),
        task=_graph_task(graph, signature, stated),
        meta=stated.meta,
        provenance=provenance_now("torch", TORCH_LIBRARIES, type(module).__qualname__),
        agreement=agreement,
    )


def _graph_task(graph: GraphFiles, signature: Signature, stated: Stated) -> Task:
    inferred = graph_task(signature, graph.classes)
    named = msgspec.structs.replace(inferred, label_name=stated.target)
    return with_stated_task(named, stated.task)


def _feeds(
    examples: Any, signature: Signature, columns: tuple[Column, ...], target: str | None
) -> Mapping[str, Array] | None:
    if examples is None or is_arrays(examples):
        return None if examples is None else first_rows(examples)
    frame = as_frame(examples, target).head(MAX_ROWS)
    return signature_feeds(signature, columns, frame)


def _data_sha256(reference: Any) -> str | None:
    if reference is None or is_arrays(reference):
        return None
    try:
        return frame_sha256(as_frame(reference, None))
    except TypeError:  # a column of lists or the like, which no model takes
        return None
