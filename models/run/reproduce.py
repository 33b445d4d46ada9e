"""Whether outputs are the golden ones: numbers within the manifest's tolerance, all else exactly.

Pure. NaN equals NaN and an infinity equals itself.
"""

from collections.abc import Mapping

import numpy as np

from driftgate.models.errors import LoadError
from driftgate.models.run.runtime import Array
from driftgate.models.schema.manifest import Golden


def check_reproduced(golden: Golden, expected: Mapping[str, Array], found: Mapping[str, Array]) -> float:
    """Return the largest difference between numbers; every expected output must be found, in its shape.

    Raises LoadError that names output and place where a difference is not tolerated.
    """
    return max((_compare(golden, name, array, found) for name, array in expected.items()), default=0.0)


def _compare(golden: Golden, name: str, expected: Array, outputs: Mapping[str, Array]) -> float:
    if name not in outputs:
        raise LoadError(f"the golden examples have an output {name!r}, which the model has not")
    found = outputs[name]
    if found.shape != expected.shape:
        raise LoadError(
            f"output {name!r} has shape {list(found.shape)}, and the golden examples {list(expected.shape)}"
        )
    if expected.dtype.kind == "f" and found.dtype.kind == "f":
        return _compare_floats(golden, name, expected.astype(np.float64), found.astype(np.float64))
    _refuse_first(name, expected, found, np.asarray(found == expected))
    return 0.0


def _compare_floats(golden: Golden, name: str, expected: Array, found: Array) -> float:
    close = np.isclose(found, expected, rtol=golden.rtol, atol=golden.atol, equal_nan=True)
    _refuse_first(name, expected, found, close)
    finite = np.isfinite(expected)
    return float(np.max(np.abs(found[finite] - expected[finite]), initial=0.0))


def _refuse_first(name: str, expected: Array, found: Array, equal: Array) -> None:
    if equal.all():
        return
    place = tuple(int(i) for i in np.argwhere(~equal)[0])
    raise LoadError(
        f"output {name!r} differs from the golden examples at {list(place)}: "
        f"{found[place]!s:.40} where they say {expected[place]!s:.40}"
    )
