"""Original against ONNX."""

import numpy as np
import pytest

from driftgate.models.convert.agreement import agrees, figures, measure

A, B = np.array([[0.4, 0.6], [0.9, 0.1]]), np.array([[0.40001, 0.59999], [0.9, 0.1]])


@pytest.mark.parametrize(
    ("original", "converted", "difference", "changed"),
    [
        (A, A.astype(np.float32), 0.0, 0),
        (A, B, 1e-5, 0),
        (A, A[:, ::-1], 0.8, 2),
        (np.array([1e6, 2.0]), np.array([[1e6 + 10], [2.0]]), 1e-5, 0),
        (np.array([1.0, np.nan, np.inf]), np.array([1.0, np.nan, np.inf]), 0.0, 0),
        (np.array([1, 2, 3]), np.array([1, 2, 4]), 0.0, 1),
        (np.array(["a", "b"]), np.array(["a", "c"], dtype=object), 0.0, 1),
        (np.array([True, False]), np.array([1, 0]), 0.0, 0),
        (np.array([-1.5, 2.0]), np.array([[1.5, -1.5], [-2.0, 2.0]]), 0.0, 0),
    ],
)
def test_differences(original: np.ndarray, converted: np.ndarray, difference: float, changed: int) -> None:
    """Differences are absolute below 1 and relative above; labels and winning classes are counted."""
    (output,) = measure({"y": original}, {"y": converted}, 1e-4, "single").outputs
    assert output.largest_difference == pytest.approx(difference, rel=0.3, abs=1e-7)
    assert (output.decisions_changed, output.rows) == (changed, len(original))


@pytest.mark.parametrize(
    ("original", "converted"),
    [(np.zeros(3), np.array([0.0, np.nan, 0.0])), (np.zeros((3, 2)), np.zeros((3, 4)))],
)
def test_what_cannot_be_compared_never_agrees(original: np.ndarray, converted: np.ndarray) -> None:
    """NaN on one side only, and other shapes, are beyond any tolerance and still fit into JSON."""
    agreement = measure({"y": original}, {"y": converted}, 1e9, "single")
    assert not agrees(agreement)
    assert np.isfinite(agreement.outputs[0].largest_difference)
    assert "beyond measure" in figures(agreement)


def test_a_tie_is_no_changed_decision() -> None:
    """Where the original itself is undecided within the tolerance, rounding may decide either way."""
    original = {"label": np.array([0, 1]), "p": np.array([[0.50001, 0.49999], [0.1, 0.9]])}
    converted = {"label": np.array([1, 1]), "p": np.array([[0.49999, 0.50001], [0.1, 0.9]])}
    assert agrees(measure(original, converted, 1e-4, "single"))
    assert not agrees(measure({"label": original["label"]}, converted, 1e-4, "single"))


def test_one_changed_decision_is_too_many() -> None:
    """However large the tolerance, a label that changed is a disagreement."""
    assert not agrees(measure({"y": np.array([1, 2])}, {"y": np.array([1, 3])}, 1e9, "single"))
