"""The one file that imports onnxruntime: open a session, read its signature, run it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from driftgate.models.errors import LoadError, RunError
from driftgate.models.signature import Signature, TensorSpec, datatype_of_onnx

Array = np.ndarray[Any, np.dtype[Any]]

VERSION: str = onnxruntime.__version__

_EXTERNAL_DATA_FOLDER = "session.model_external_initializers_file_folder_path"
_NOWHERE = "/dev/null/nowhere"


class Session:
    """An onnxruntime session on the CPU; safe to run from several threads at once.

    A model given as bytes finds its external data in `beside`; without it, nowhere (least of all in the
    current directory, which is where onnxruntime would look).
    """

    def __init__(self, model: Path | bytes, threads: int = 1, beside: Path | None = None) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 4
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        if isinstance(model, bytes):
            options.add_session_config_entry(_EXTERNAL_DATA_FOLDER, str(beside or _NOWHERE))
        source = model if isinstance(model, bytes) else str(model)
        try:
            self._session = onnxruntime.InferenceSession(source, options, ["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime has no common base class for its errors
            raise LoadError(_load_problem(error)) from error
        self.signature = Signature(
            inputs=tuple(map(_spec, self._session.get_inputs())),
            outputs=tuple(map(_spec, self._session.get_outputs())),
        )

    def run(self, feeds: Mapping[str, Array], outputs: Sequence[str] | None = None) -> list[Array]:
        """Return the named outputs (None: all, in signature order); raise RunError if the graph refuses."""
        try:
            results: list[Array] = self._session.run(outputs, feeds)
        except Exception as error:  # as above
            raise RunError(f"the model could not compute these inputs: {first_line(error)}") from error
        return results


def _load_problem(error: Exception) -> str:
    if isinstance(error, MemoryError) or "bad allocation" in str(error) or "bad_alloc" in str(error):
        return "the model needs more memory than it may have"
    if "xternal data" in str(error):
        return "the model keeps data in a file that is missing or not where it must be, beside model.onnx"
    return f"onnxruntime cannot load the model: {first_line(error)}"


def first_line(error: Exception) -> str:
    """Return the first line of an onnxruntime error, which is the part that people can read."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


def _spec(node: Any) -> TensorSpec:
    shape = tuple(size if isinstance(size, int) and size >= 0 else -1 for size in node.shape)
    return TensorSpec(name=node.name, datatype=datatype_of_onnx(node.type), shape=shape)
