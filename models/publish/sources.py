"""What people publish (an estimator, a torch module, an ONNX file) becomes a graph and its description."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import msgspec
import numpy as np

from driftgate.models.convert.estimator import MATRIX_INPUT, Request, boosters_in, convert
from driftgate.models.convert.frames import frame_sha256, signature_columns, signature_feeds
from driftgate.models.convert.originals import as_frame, is_arrays, rows_for
from driftgate.models.convert.sklearn import fitted_core
from driftgate.models.convert.stated import StatedColumn, StatedTask, with_stated_columns, with_stated_task
from driftgate.models.convert.tasks import graph_task
from driftgate.models.convert.torch import is_torch, torch_to_onnx
from driftgate.models.errors import InvalidInput
from driftgate.models.publish.describe import Description
from driftgate.models.publish.onnx_file import GraphFiles, graph_signature, read_graph
from driftgate.models.publish.provenance import provenance_now
from driftgate.models.run.examples import MAX_ROWS, first_rows
from driftgate.models.run.runtime import Array
from driftgate.models.schema.bare import bare_columns
from driftgate.models.schema.manifest import Column, Task
from driftgate.models.schema.signature import Signature

LIBRARIES = ("driftgate", "numpy", "onnx", "onnxruntime", "pandas", "scikit-learn", "skl2onnx")
TORCH_LIBRARIES = ("driftgate", "numpy", "onnx", "onnxruntime", "torch")
TORCH_INPUT = "input"


@dataclass(frozen=True)
class Shown:
    """Rows that show what a model takes: a data frame, a matrix, a list of dicts, or arrays by input name.

    The first of the `examples` are kept; the `reference` is what the model was fitted on. `target` is the
    column that is the label, and no input.
    """

    examples: Any
    reference: Any
    target: str | None

    @classmethod
    def of(cls, examples: Any, reference: Any, target: str | None) -> "Shown":
        """Return the rows; where only one of the two is given it stands for both."""
        return cls(
            reference if examples is None else examples, examples if reference is None else reference, target
        )


@dataclass(frozen=True)
class Stated:
    """What the caller says of the model, which overrides what is inferred; the largest difference allowed."""

    columns: tuple[StatedColumn, ...]
    task: StatedTask
    meta: Mapping[str, str]
    tolerance: float


class Source(Protocol):
    """A model as people have it."""

    def described(self, shown: Shown, stated: Stated) -> tuple[GraphFiles, Description]:
        """Return its graph and what is known of it; raise InvalidInput, ConversionError or LoadError."""

    def named_rows(self, shown: Shown) -> Any:
        """Return the reference rows, which are no arrays by name, as a frame of its columns or as arrays."""


def source_of(model: Any) -> Source:
    """Return what is published: the path of an ONNX file, a `torch.nn.Module`, else a fitted estimator."""
    if isinstance(model, str | Path):
        return OnnxFile(Path(model))
    return TorchModule(model) if is_torch(model) else Estimator(model)


@dataclass(frozen=True)
class OnnxFile:
    """An ONNX file and what lies beside it."""

    path: Path

    def described(self, shown: Shown, stated: Stated) -> tuple[GraphFiles, Description]:
        """Return the graph, whose columns are those of the frame that is shown, if one is."""
        graph = read_graph(self.path)
        signature = graph_signature(graph, self.path)
        columns: Sequence[Column] = bare_columns(signature)
        framed = shown.reference is not None and not is_arrays(shown.reference)
        if framed:
            columns = signature_columns(columns, as_frame(shown.reference, shown.target))
        named = with_stated_columns(columns, stated.columns)
        return graph, Description(
            examples=_feeds(shown, signature, named),
            columns=named if framed or stated.columns else None,
            task=_graph_task(graph, signature, shown, stated),
            meta=stated.meta,
            provenance=provenance_now("onnx", training_data_sha256=_data_sha256(shown.reference)),
        )

    def named_rows(self, shown: Shown) -> Any:
        """Return a frame without the label."""
        return as_frame(shown.reference, shown.target)


@dataclass(frozen=True)
class TorchModule:
    """A `torch.nn.Module`; a frame or matrix is its one input, FP32 [N, F]."""

    module: Any

    def described(self, shown: Shown, stated: Stated) -> tuple[GraphFiles, Description]:
        """Return the exported graph, compared with the module on the examples."""
        if shown.examples is None:
            raise InvalidInput("a torch module needs examples=: a matrix, or arrays by input name")
        named = is_arrays(shown.examples)
        arrays = shown.examples if named else _torch_input(shown.examples, shown.target)
        model, agreement = torch_to_onnx(self.module, arrays, stated.tolerance)
        graph = GraphFiles(model)
        signature = graph_signature(graph)
        columns: Sequence[Column] = bare_columns(signature)
        if not named:
            columns = signature_columns(columns, as_frame(shown.examples, shown.target))
        return graph, Description(
            examples=first_rows(arrays),
            columns=with_stated_columns(columns, stated.columns),
            task=_graph_task(graph, signature, shown, stated),
            meta=stated.meta,
            provenance=provenance_now("torch", TORCH_LIBRARIES, type(self.module).__qualname__),
            agreement=agreement,
        )

    def named_rows(self, shown: Shown) -> Any:
        """Return the one input's array by its name."""
        return _torch_input(shown.reference, shown.target)


@dataclass(frozen=True)
class Estimator:
    """A fitted scikit-learn estimator or pipeline, boosters included."""

    estimator: Any

    def described(self, shown: Shown, stated: Stated) -> tuple[GraphFiles, Description]:
        """Return the converted graph, compared with the estimator on the examples."""
        if shown.examples is None:
            raise InvalidInput(
                "an estimator needs examples=: rows as it was fitted on, which show its columns and on which "
                "its ONNX form is compared with it"
            )
        converted = convert(
            Request(
                estimator=self.estimator,
                examples=rows_for(self.estimator, shown.examples, shown.target),
                reference=rows_for(self.estimator, shown.reference, shown.target),
                stated=stated.columns,
                tolerance=stated.tolerance,
                label_name=shown.target,
            )
        )
        kind = type(fitted_core(self.estimator))
        return GraphFiles(converted.model), Description(
            examples=first_rows(converted.feeds),
            columns=converted.columns,
            task=with_stated_task(converted.task, stated.task),
            meta=stated.meta,
            provenance=provenance_now(
                "scikit-learn",
                (*LIBRARIES, *boosters_in(self.estimator)),
                f"{kind.__module__}.{kind.__qualname__}",
                _data_sha256(shown.reference),
            ),
            agreement=converted.agreement,
        )

    def named_rows(self, shown: Shown) -> Any:
        """Return a frame where the estimator knows columns by name, else the matrix by its input's name."""
        rows = rows_for(self.estimator, shown.reference, shown.target)
        return rows.frame if rows.named else {MATRIX_INPUT: rows.matrix}


def _torch_input(rows: Any, target: str | None) -> dict[str, Array]:
    return {TORCH_INPUT: as_frame(rows, target).to_numpy(np.float32)}


def _graph_task(graph: GraphFiles, signature: Signature, shown: Shown, stated: Stated) -> Task:
    inferred = graph_task(signature, graph.classes)
    return with_stated_task(msgspec.structs.replace(inferred, label_name=shown.target), stated.task)


def _feeds(shown: Shown, signature: Signature, columns: tuple[Column, ...]) -> Mapping[str, Array] | None:
    if shown.examples is None:
        return None
    if is_arrays(shown.examples):
        return first_rows(shown.examples)
    return signature_feeds(signature, columns, as_frame(shown.examples, shown.target).head(MAX_ROWS))


def _data_sha256(reference: Any) -> str | None:
    if reference is None or is_arrays(reference):
        return None
    try:
        return frame_sha256(as_frame(reference, None))
    except TypeError:  # a column of lists or the like, which no model takes
        return None
