"""What a new reference takes for normal that the old one did not is said in numbers."""

from typing import Any

import numpy as np
import pytest

from driftgate.monitoring.log.columns import texts_of_list
from driftgate.monitoring.reference.comparison import FeatureChange, profile_changes
from driftgate.monitoring.reference.profile import ReferenceProfile
from driftgate.monitoring.reference.sample import ReferenceSample, row_priorities
from driftgate.monitoring.windows.observed import Observed

ROWS = 20_000


def profile(values: Any) -> ReferenceProfile:
    """A reference of one column."""
    column = texts_of_list(values) if isinstance(values, list) else np.asarray(values, np.float32)
    sample = ReferenceSample()
    sample.update([Observed("x", "input", column)], row_priorities(0, len(values)))
    return sample.get("traffic")


def change(old: Any, new: Any) -> FeatureChange:
    """How the column changed."""
    (found,) = profile_changes(profile(old), profile(new))
    return found


@pytest.mark.parametrize("shift", [0.0, 0.3, 1.0, 50.0])
def test_the_distance_of_numbers_is_that_of_their_samples(shift: float) -> None:
    """Within two hundredths, though only cells are known, and other ones in each reference."""
    rng = np.random.default_rng(5)
    old, new = rng.normal(size=ROWS), rng.normal(shift, size=ROWS)
    at = np.sort(np.concatenate([old, new]))
    exact = np.abs(np.searchsorted(np.sort(old), at) - np.searchsorted(np.sort(new), at)).max() / ROWS
    found = change(old, new)
    assert found.distance == pytest.approx(exact, abs=0.02)
    assert found.moments.mean - found.old_moments.mean == pytest.approx(shift, abs=0.03)


def test_the_distance_of_texts_is_the_share_that_moved() -> None:
    """A tenth of the rows has another value."""
    found = change(["a"] * 60 + ["b"] * 40, ["a"] * 50 + ["b"] * 40 + ["c"] * 10)
    assert found.distance == pytest.approx(0.1)


def test_what_is_missing_is_told_apart() -> None:
    """Nulls change no distance."""
    found = change(np.arange(100.0), np.where(np.arange(400) % 4, np.nan, np.arange(400) / 4))
    assert (found.old_missing, found.missing) == (0.0, 0.75)
    assert found.distance < 0.02


def test_what_cannot_be_compared_is_left_out() -> None:
    """A column that was texts and is numbers, and one without rows."""
    assert profile_changes(profile(["a", "b"]), profile(np.ones(2))) == ()
    assert profile_changes(profile(np.ones(1)), profile(np.zeros(0))) == ()
