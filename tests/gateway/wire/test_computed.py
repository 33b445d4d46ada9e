"""What one call gave, cut at its requests."""

import numpy as np
import pytest

from driftgate.gateway.wire.computed import Computed
from driftgate.gateway.wire.inference import Array

ROWS = np.array([[1, 2], [3, np.nan], [np.inf, 6], [7, 8]], np.float32)


@pytest.mark.parametrize(
    ("first", "last", "held"), [(0, None, True), (0, 1, False), (1, 2, True), (2, 3, True), (3, 4, False)]
)
def test_what_is_no_number_is_found_in_its_rows(first: int, last: int | None, held: bool) -> None:
    """NaN and infinities are found in the rows that have them, and said of no others."""
    computed = Computed({}, {"label": np.arange(4), "p": ROWS})
    assert computed.holds_nonfinite(first, last) is held


@pytest.mark.parametrize(
    "array",
    [
        np.arange(3),
        np.array([True, False]),
        np.array(["nan", "inf"], object),
        np.zeros((0, 2)),
        np.zeros((300, 7)),
    ],
)
def test_what_is_finite_is_found_to_be(array: Array) -> None:
    """Whole numbers, texts, empty and finite outputs hold nothing that is no number."""
    assert not Computed({}, {"y": array}).holds_nonfinite(0, None)
