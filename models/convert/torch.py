"""A `torch.nn.Module` to ONNX, by torch.onnx; torch itself is looked up only here."""

import io
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

import numpy as np

from driftgate.models.convert.agreement import agrees, figures, measure
from driftgate.models.errors import ConversionError
from driftgate.models.run.runtime import Array, Session
from driftgate.models.schema.manifest import Agreement

MODULE = "torch.nn.modules.module.Module"


def is_torch(model: Any) -> bool:
    """Whether `model` is a `torch.nn.Module`, without importing torch."""
    return any(f"{kind.__module__}.{kind.__qualname__}" == MODULE for kind in type(model).__mro__)


def torch_to_onnx(module: Any, examples: Mapping[str, Array], tolerance: float) -> tuple[bytes, Agreement]:
    """Return a module as ONNX, with a dynamic first dimension, and how it agrees on the examples.

    `examples` are arrays by the name that the input shall have, in the order of `forward`'s arguments. Raises
    ConversionError where torch cannot export the module, or the result does not agree.
    """
    torch = import_module("torch")
    module = module.eval()
    tensors = tuple(torch.from_numpy(np.ascontiguousarray(array)) for array in examples.values())
    with torch.no_grad():
        answers = [_array(answer) for answer in _listed(module(*tensors))]
    names = ["output"] if len(answers) == 1 else [f"output_{place}" for place in range(len(answers))]
    model = _export(torch, module, tensors, list(examples), names)
    converted = dict(zip(names, Session(model).run(examples, names), strict=True))
    agreement = measure(dict(zip(names, answers, strict=True)), converted, tolerance, "single")
    if not agrees(agreement):
        raise ConversionError(
            f"the ONNX form of {type(module).__name__} does not agree with the module within {tolerance:g}. "
            f"In {figures(agreement)}. Is it random in eval mode? Otherwise give a tolerance (tolerance=)."
        )
    return model, agreement


def _export(
    torch: Any, module: Any, tensors: tuple[Any, ...], inputs: Sequence[str], outputs: Sequence[str]
) -> bytes:
    buffer = io.BytesIO()
    try:
        torch.onnx.export(
            module,
            tensors,
            buffer,
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_axes={name: {0: "rows"} for name in (*inputs, *outputs)},
            dynamo=False,  # the newer exporter takes one more package, onnxscript
        )
    except Exception as error:  # torch raises what its tracer happens to raise
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
        raise ConversionError(
            f"torch.onnx cannot export {type(module).__name__}: {reason}. Export it yourself with "
            "torch.onnx.export and publish the file"
        ) from error
    return buffer.getvalue()


def _listed(answer: Any) -> Sequence[Any]:
    return answer if isinstance(answer, list | tuple) else [answer]


def _array(tensor: Any) -> Array:
    array: Array = tensor.detach().cpu().numpy()
    return array
