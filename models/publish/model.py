"""`driftgate.publish`: a fitted estimator, or an ONNX file, becomes an immutable version in a registry."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from driftgate.models.convert.agreement import TOLERANCE
from driftgate.models.convert.originals import is_arrays
from driftgate.models.convert.stated import StatedColumn, StatedTask, stated_columns, stated_task
from driftgate.models.errors import InvalidInput
from driftgate.models.publish.onnx_file import Published, Target, publish_graph
from driftgate.models.publish.reference_rows import Profiler, profiled
from driftgate.models.publish.sources import Shown, Source, Stated, source_of
from driftgate.models.publish.to_server import publish_to_server
from driftgate.models.remote.client import Server
from driftgate.models.run.runtime import Session
from driftgate.models.schema.bind import DeclaredView
from driftgate.models.schema.binding import FeatureBinding
from driftgate.models.schema.manifest import Column, Manifest, Task
from driftgate.models.schema.stated_binding import StatedBinding, stated_binding

DEFAULT_REGISTRY = "registry"

ReadViews = Callable[[Path | Server, str], Sequence[DeclaredView]]
"""Reads the feature views that are declared in a registry, here or a gateway's, for a model of that name."""


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
        meta=dict(meta or {}),
        tolerance=TOLERANCE if tolerance is None else tolerance,
    )
    binding = stated_binding(features)
    gateway = Server(server, token) if isinstance(server, str) else server
    if callable(views):
        views = (views(gateway or destination.registry, name) or None) if binding else None
    shown, source = Shown.of(examples, reference, target), source_of(estimator_or_path)
    graph, known = source.described(shown, stated)
    declared = None if views is None else {view.name: view for view in views}
    known = replace(known, binding=binding, views=declared, profile=_profile(profiler, source, shown))
    if gateway is None:
        return publish_graph(graph, destination, known)
    return publish_to_server(graph, known, destination, gateway)


def _profile(
    profiler: Profiler | None, source: Source, shown: Shown
) -> Callable[[Session, Manifest], bytes] | None:
    """Return what makes the profile, of a data frame of the model's columns or of arrays by input name."""
    if profiler is None or shown.reference is None:
        return None
    rows = shown.reference if is_arrays(shown.reference) else source.named_rows(shown)
    return partial(profiled, profiler, rows)
