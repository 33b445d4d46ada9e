"""Put an ONNX file into a registry as one immutable version, with everything that is known about it.

Light on purpose: `onnx` is looked up only for a graph that needs it (maps to flatten, weights beside the
model), and pandas and scikit-learn never, so that a server can publish the file that it was given.
"""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec

from driftgate.models.errors import ConversionError, LoadError
from driftgate.models.publish.describe import Description, describe
from driftgate.models.registry.settings import DEFAULT_SETTINGS, SETTINGS_FILE
from driftgate.models.run.runtime import Array, Session
from driftgate.models.schema.manifest import (
    EXAMPLES_FILE,
    MANIFEST_FILE,
    MODEL_FILE,
    PROFILE_FILE,
    Agreement,
    Column,
    Label,
    Manifest,
    Provenance,
    Task,
    digest_of,
)
from driftgate.models.schema.names import check_model_name, parse_version
from driftgate.models.schema.signature import Signature
from driftgate.models.storage.version_writer import place_version, temporary_version, write_new

GRAPH_MARKS = (b"ZipMap", b"\x0a\x08location")
"""A graph without these bytes has neither a ZipMap nor external data, whose every entry says `location`."""


@dataclass(frozen=True)
class GraphFiles:
    """A servable graph: its bytes, the weight files by their place beside it, the classes of its ZipMap."""

    model: bytes
    external: Mapping[str, Path] = field(default_factory=dict)
    classes: tuple[Label, ...] | None = None


@dataclass(frozen=True)
class Target:
    """Where a version goes; a version of None takes the next number."""

    name: str
    registry: Path
    version: int | None = None

    def __post_init__(self) -> None:
        check_model_name(self.name)
        if self.version is not None:
            parse_version(str(self.version))


@dataclass(frozen=True)
class Published:
    """A version in the registry. `created` is False where the same content was already there.

    In the registry of a `server`, `directory` is below that registry.
    """

    name: str
    version: int
    directory: Path
    digest: str
    created: bool
    manifest: Manifest
    warnings: tuple[str, ...]
    server: str | None = None


def publish_file(  # noqa: PLR0913 - the public call takes what a person has, each under its own name
    path: Path,
    *,
    name: str,
    registry: Path,
    version: int | None = None,
    examples: Mapping[str, Array] | None = None,
    columns: tuple[Column, ...] | None = None,
    task: Task | None = None,
    meta: Mapping[str, str] | None = None,
    provenance: Provenance | None = None,
    agreement: Agreement | None = None,
    warnings: tuple[str, ...] = (),
) -> Published:
    """Publish the ONNX file at `path` as a version of `name`; without `version`, under the next number.

    `examples` are arrays by input name; without them golden rows are made up from the signature. The same
    content again is a no-op with `created` False. Raises VersionExists where the number holds other content,
    InvalidName, InvalidManifest, InvalidInput (examples), and ConversionError or LoadError for a graph that
    cannot be served.
    """
    target = Target(name, registry, version)
    known = Description(examples, columns, task, meta or {}, provenance, agreement, warnings)
    return publish_graph(read_graph(path), target, known)


def read_graph(path: Path) -> GraphFiles:
    """Read an ONNX file and what lies beside it; raise ConversionError where it cannot be published."""
    try:
        model = path.read_bytes()
    except OSError as error:
        raise ConversionError(f"{path} cannot be read: {error.strerror}") from error
    if not any(mark in model for mark in GRAPH_MARKS):
        return GraphFiles(model)
    graph = _graph_tools("the model holds maps or keeps weights in other files")
    prepared = graph.prepare_graph(model)
    external = {place: graph.relative_to_model(place, path.parent) for place in prepared.external_files}
    return GraphFiles(prepared.model, external, prepared.classes)


def graph_signature(graph: GraphFiles, path: Path | None = None) -> Signature:
    """Return the signature of a graph, which was read from `path`; raise LoadError if it cannot be opened."""
    source = path if path is not None and graph.external else graph.model
    return _open(source, graph.model).signature


def publish_graph(graph: GraphFiles, target: Target, known: Description) -> Published:
    """Publish a graph that is ready to be served; see `publish_file` for what is raised."""
    with temporary_version(target.registry / target.name) as temporary:
        _write_graph(graph, temporary)
        session = _open(temporary / MODEL_FILE, graph.model)
        draft = describe(session, replace(known, classes=graph.classes), temporary)
        write_new(temporary.parent / SETTINGS_FILE, DEFAULT_SETTINGS, temporary)
        manifest, created = place_version(
            temporary,
            lambda number: msgspec.structs.replace(draft, name=target.name, version=number),
            target.version,
        )
    directory = target.registry / target.name / str(manifest.version)
    digest = digest_of((directory / MANIFEST_FILE).read_bytes())
    return Published(target.name, manifest.version, directory, digest, created, manifest, manifest.warnings)


def _write_graph(graph: GraphFiles, directory: Path) -> None:
    (directory / MODEL_FILE).write_bytes(graph.model)
    for place, source in graph.external.items():
        copy = directory / place
        if copy.exists() or place in (MANIFEST_FILE, EXAMPLES_FILE, PROFILE_FILE):
            raise ConversionError(f"the model keeps weights in a file called {place!r}; give it another name")
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, copy, follow_symlinks=False)


def _open(source: Path | bytes, model: bytes) -> Session:
    """Open a session; where the graph cannot be served, let the graph itself say which output is to blame."""
    try:
        return Session(source)
    except LoadError:
        if find_spec("onnx"):
            _graph_tools("").prepare_graph(model)
        raise


def _graph_tools(reason: str) -> Any:
    """Return `models.convert.graph`, which needs onnx; looked up late so that a server can do without."""
    try:
        return import_module("driftgate.models.convert.graph")
    except ModuleNotFoundError as error:
        raise ConversionError(
            f"{reason}, which takes the onnx package: pip install 'driftgate[publish]'"
        ) from error
