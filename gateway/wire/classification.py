"""The classification extension: an output as its top classes, `"value:index[:label]"`. Pure."""

import numpy as np

from driftgate.gateway.wire.inference import Array
from driftgate.gateway.wire.tensor_views import OutputView


def top_classes(array: Array, wanted: int, spec: OutputView) -> Array:
    """Return the `wanted` largest values of every row (fewer where a row has fewer) as text [rows, k].

    Without a row dimension the result is [k]. Equal values keep the order of their index; NaN comes last.
    """
    rows = array.reshape(len(array), -1) if spec.batched else array.reshape(1, -1)
    numbers = rows.astype(np.float64) if rows.dtype.kind == "f" else rows.astype(object)
    order = np.argsort(-numbers, axis=1, kind="stable")[:, :wanted]
    labels = spec.labels if len(spec.labels) == rows.shape[1] else ()
    texts = [
        [_text(row[index], index, labels) for index in places]
        for row, places in zip(rows.tolist(), order.tolist(), strict=True)
    ]
    result = np.array(texts, object).reshape(order.shape)
    return result if spec.batched else result[0]


def _text(value: float | int | bool, index: int, labels: tuple[str, ...]) -> str:
    number = f"{value:.6f}" if isinstance(value, float) else str(int(value))
    return f"{number}:{index}:{labels[index]}" if labels else f"{number}:{index}"
