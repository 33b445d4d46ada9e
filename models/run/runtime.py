"""The one file that imports onnxruntime: open a session, read its signature, run it."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from driftgate.models.errors import LoadError, RunError
from driftgate.models.schema.signature import Signature, TensorSpec, datatype_of_onnx

Array = np.ndarray[Any, np.dtype[Any]]

VERSION: str = onnxruntime.__version__

_EXTERNAL_DATA_FOLDER = "session.model_external_initializers_file_folder_path"
_NOWHERE = "/dev/null/nowhere"


class Session:
    """An onnxruntime session on the CPU; safe to run from several threads at once.

    A model given by its path takes a third less memory than one given as bytes, which onnxruntime's Python
    side keeps, and finds external data beside it. One given as bytes finds none: onnxruntime would look into
    the current directory.
    """

    def __init__(self, model: Path | bytes, threads: int = 1) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 4
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        if isinstance(model, bytes):
            options.add_session_config_entry(_EXTERNAL_DATA_FOLDER, _NOWHERE)
        source = model if isinstance(model, bytes) else str(model)
        try:
            self._session = onnxruntime.InferenceSession(source, options, ["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime has no common base class for its errors
            raise LoadError(_load_problem(error, str(model) if isinstance(model, Path) else "")) from error
        self.signature = Signature(
            inputs=tuple(map(_spec, self._session.get_inputs())),
            outputs=tuple(map(_spec, self._session.get_outputs())),
        )
        self._output_names = [spec.name for spec in self.signature.outputs]

    def run(self, feeds: Mapping[str, Array], outputs: Sequence[str] | None = None) -> list[Array]:
        """Return the named outputs (None: all, in signature order); raise RunError if the graph refuses."""
        try:
            results: list[Array] = self._session.run(outputs or self._output_names, feeds)
        except Exception as error:  # as above
            raise RunError(f"the model could not compute these inputs: {first_line(error)}") from error
        return results


def _load_problem(error: Exception, path: str) -> str:
    text = str(error)
    if isinstance(error, MemoryError) or "bad allocation" in text or "bad_alloc" in text:
        return "the model needs more memory than it may have"
    if "xternal data" in text:
        return "the model keeps data in a file that is missing or not where it must be, beside model.onnx"
    if "rotobuf parsing failed" in text:
        return "the file is no ONNX model: it is damaged, cut short, or something else"
    reason = re.sub(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ", "", first_line(error))
    return f"onnxruntime cannot load the model: {reason.replace(path, 'the file') if path else reason}"


def first_line(error: Exception) -> str:
    """Return the first line of an onnxruntime error, which is the part that people can read."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


def _spec(node: Any) -> TensorSpec:
    shape = tuple(size if isinstance(size, int) and size >= 0 else -1 for size in node.shape)
    return TensorSpec(name=node.name, datatype=datatype_of_onnx(node.type), shape=shape)
