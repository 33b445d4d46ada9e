"""Golden outputs: what counts as the same."""

import numpy as np
import pytest

from driftgate.models.errors import LoadError
from driftgate.models.run.reproduce import check_reproduced
from driftgate.models.run.runtime import Array
from driftgate.models.schema.manifest import Golden

GOLDEN = Golden(rows=3, rtol=1e-3, atol=1e-6)


def floats(*values: float) -> Array:
    """Return a column of doubles."""
    return np.array(values, np.float64)


def texts(*values: str) -> Array:
    """Return a column of strings."""
    return np.array(values, object)


@pytest.mark.parametrize(
    ("expected", "found"),
    [
        (floats(1.0, 2.0), floats(1.0005, 2.0)),
        (floats(np.nan, np.inf, -np.inf), floats(np.nan, np.inf, -np.inf)),
        (floats(), floats()),
        (np.array([1, 2]), np.array([1, 2])),
        (np.array([True]), np.array([True])),
        (texts("a", ""), texts("a", "")),
        (np.array(1.0, np.float16), np.array(1.0, np.float16)),
    ],
)
def test_same(expected: Array, found: Array) -> None:
    """Floats agree within the tolerance, NaN and infinities with themselves, all else exactly."""
    assert check_reproduced(GOLDEN, {"y": expected}, {"y": found}) <= 1e-3


@pytest.mark.parametrize(
    ("expected", "found", "complaint"),
    [
        (
            floats(1.0, 2.0),
            floats(1.0, 2.1),
            r"'y' differs from the golden examples at \[1\]: 2.1 .* say 2.0",
        ),
        (floats(np.nan), floats(0.0), "nan"),
        (floats(np.inf), floats(-np.inf), "inf"),
        (floats(np.inf), floats(1e300), "inf"),
        (np.array([1, 2]), np.array([1, 3]), r"\[1\]"),
        (texts("a"), texts("b"), "b where they say a"),
        (floats(1.0), floats(1.0, 2.0), "shape"),
        (floats(1.0), texts("1.0"), "differs"),
    ],
)
def test_different(expected: Array, found: Array, complaint: str) -> None:
    """A difference is refused with output, place and both values."""
    with pytest.raises(LoadError, match=complaint):
        check_reproduced(GOLDEN, {"y": expected}, {"y": found})


def test_missing_output() -> None:
    """A golden output that the model does not have is refused by name."""
    with pytest.raises(LoadError, match="'label'"):
        check_reproduced(GOLDEN, {"label": texts("a")}, {"y": floats(1.0)})


def test_largest_difference() -> None:
    """What is returned is the largest difference over all outputs, infinities aside."""
    expected = {"a": floats(1.0, np.inf), "b": floats(1000.0)}
    found = {"a": floats(1.0001, np.inf), "b": floats(1000.5)}
    assert check_reproduced(GOLDEN, expected, found) == pytest.approx(0.5)
