"""What is done to an ONNX graph before it is published: maps become tensors, external files are listed.

Classic skl2onnx classifiers answer with a sequence of maps (ZipMap). No tensor protocol can carry that, so
the ZipMap node is taken out; its output keeps its name and becomes a plain tensor [rows, classes].
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
from onnx.external_data_helper import ExternalDataInfo, uses_external_data

from driftgate.models.errors import ConversionError
from driftgate.models.schema.manifest import Label


@dataclass(frozen=True)
class PreparedGraph:
    """A servable graph: its bytes, the classes that a removed ZipMap knew, and the weight files beside it."""

    model: bytes
    classes: tuple[Label, ...] | None
    external_files: tuple[str, ...]


def prepare_graph(model: bytes) -> PreparedGraph:
    """Return `model` with dense outputs only.

    `classes` are those of the first ZipMap, in probability order. Raises ConversionError that
    names the output which is a sequence, map, optional or sparse tensor and cannot be flattened.
    """
    try:
        proto = onnx.load_model_from_string(model)
    except Exception as error:  # protobuf's errors differ between its implementations
        raise ConversionError("the file is not an ONNX model: it cannot be parsed") from error
    maps = [node for node in proto.graph.node if node.op_type == "ZipMap"]
    classes = [_flatten(proto, node) for node in maps]
    _refuse_undense(proto)
    data = proto.SerializeToString() if maps else model
    return PreparedGraph(data, classes[0] if maps else None, external_files(proto))


def external_files(proto: Any) -> tuple[str, ...]:
    """Return the places of all weights kept beside the model, as written in it, each once, sorted."""
    found = {ExternalDataInfo(tensor).location for tensor in _tensors(proto) if uses_external_data(tensor)}
    return tuple(sorted(found))


def relative_to_model(location: str, directory: Path) -> Path:
    """Return the real file of an external location; raise ConversionError if it leaves `directory`."""
    parts = Path(location).parts
    path = directory / location
    if Path(location).is_absolute() or ".." in parts or not parts:
        raise ConversionError(
            f"the model keeps weights at {location!r}, outside its own directory; save it again with its "
            "external data beside it (onnx.save_model(..., location='weights.bin'))"
        )
    if any((directory / place).is_symlink() for place in (Path(location), *Path(location).parents[:-1])):
        raise ConversionError(f"the weights {location!r} are a link; copy the real file beside the model")
    if not path.is_file():
        raise ConversionError(f"the model keeps weights in {location!r}, which is not beside it")
    return path


def rename_inputs(proto: Any, names: Sequence[str]) -> None:
    """Give the graph's inputs these names, in order: converters turn `sepal length` into `sepal_length`."""
    renamed = {old.name: new for old, new in zip(proto.graph.input, names, strict=True) if old.name != new}
    for value in proto.graph.input:
        value.name = renamed.get(value.name, value.name)
    for node in proto.graph.node:
        for place, name in enumerate(node.input):
            node.input[place] = renamed.get(name, name)


def _flatten(proto: Any, node: Any) -> tuple[Label, ...]:
    """Remove one ZipMap; whoever made its input now makes its output."""
    source, target = node.input[0], node.output[0]
    classes = _classes(node)
    proto.graph.node.remove(node)
    rows = _first_dimension(proto, target)
    proto.graph.node.append(onnx.helper.make_node("Identity", [source], [target], name=f"flatten_{target}"))
    for output in proto.graph.output:
        if output.name == target:
            tensor = onnx.helper.make_tensor_value_info(target, onnx.TensorProto.FLOAT, [rows, len(classes)])
            output.CopyFrom(tensor)
    return classes


def _classes(node: Any) -> tuple[Label, ...]:
    for attribute in node.attribute:
        if attribute.name == "classlabels_strings":
            return tuple(text.decode() for text in attribute.strings)
        if attribute.name == "classlabels_int64s":
            return tuple(int(number) for number in attribute.ints)
    raise ConversionError(f"the ZipMap {node.output[0]!r} lists no classes; convert again with zipmap off")


def _first_dimension(proto: Any, output: str) -> int | None:
    """A ZipMap's sequence has no length, so the rows are those of the graph's first input."""
    dimensions = proto.graph.input[0].type.tensor_type.shape.dim if proto.graph.input else []
    return dimensions[0].dim_value or None if dimensions else None


def _refuse_undense(proto: Any) -> None:
    for kind, value in [("input", v) for v in proto.graph.input] + [
        ("output", v) for v in proto.graph.output
    ]:
        found = value.type.WhichOneof("value")
        if found != "tensor_type":
            name = (found or "an unknown type").removesuffix("_type").replace("_", " ")
            raise ConversionError(
                f"{kind} {value.name!r} is a {name}, and only dense tensors can be served. " + _advice(kind)
            )


def _advice(kind: str) -> str:
    if kind == "input":
        return "Give the graph one tensor input per value."
    return (
        "Take that output out of the graph, or convert the estimator with zipmap off "
        "(driftgate.publish(estimator, ...) does)."
    )


def _tensors(proto: Any) -> Iterator[Any]:
    yield from _graph_tensors(proto.graph)
    for function in proto.functions:
        for node in function.node:
            yield from _node_tensors(node)


def _graph_tensors(graph: Any) -> Iterator[Any]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield sparse.values
        yield sparse.indices
    for node in graph.node:
        yield from _node_tensors(node)


def _node_tensors(node: Any) -> Iterator[Any]:
    for attribute in node.attribute:
        if attribute.HasField("t"):
            yield attribute.t
        yield from attribute.tensors
        for graph in ([attribute.g] if attribute.HasField("g") else []) + list(attribute.graphs):
            yield from _graph_tensors(graph)
