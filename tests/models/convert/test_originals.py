"""Rows in the form that an estimator was fitted on."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from lightgbm import LGBMClassifier
from sklearn.linear_model import LogisticRegression

from driftgate.models.convert.originals import answers_of, classes_of, rows_for
from driftgate.models.errors import ConversionError

FRAME = pd.DataFrame({"a b": np.arange(40.0), "c": np.arange(40.0)[::-1], "y": [0, 1] * 20})
NAMED = LogisticRegression().fit(FRAME[["a b", "c"]], FRAME["y"])
PLAIN = LogisticRegression().fit(FRAME[["a b", "c"]].to_numpy(), FRAME["y"])
BOOSTER = LGBMClassifier(n_estimators=2, verbose=-1).fit(FRAME[["a b", "c"]], FRAME["y"])


@pytest.mark.parametrize("estimator", [NAMED, PLAIN, BOOSTER], ids=["named", "plain", "booster"])
@pytest.mark.parametrize(
    "data",
    [
        FRAME[["a b", "c"]],
        FRAME[["a b", "c"]].to_numpy(),
        FRAME[["a b", "c"]].to_dict("records"),
        FRAME[["a b", "c"]].to_numpy().tolist(),
    ],
    ids=["frame", "matrix", "dicts", "lists"],
)
def test_rows_come_in_many_forms(estimator: Any, data: Any) -> None:
    """Frames, matrices, dicts and lists all give an estimator the rows that it was fitted on."""
    labels, _ = answers_of(estimator, rows_for(estimator, data))
    assert labels.tolist() == estimator.predict(rows_for(estimator, FRAME[["a b", "c"]]).taken).tolist()


def test_the_target_and_strange_columns_are_no_inputs() -> None:
    """What the estimator was not fitted on is left out, in the order that it was fitted on."""
    shuffled = FRAME[["y", "c", "a b"]].assign(more=1)
    assert list(rows_for(NAMED, shuffled, "y").frame.columns) == ["a b", "c"]


@pytest.mark.parametrize(
    ("estimator", "data", "match"),
    [
        (NAMED, FRAME[["c"]], r"\(examples, reference\) lack column 'a b'"),
        (PLAIN, FRAME, r"fitted on 2 columns, and the rows given \(examples, reference\) have 3"),
        (NAMED, np.zeros((3, 1)), r"fitted on 2 columns, and the rows given \(examples, reference\) have 1"),
        (NAMED, np.zeros(3), r"shape \[3\]"),
        (NAMED, FRAME.head(0), "examples or reference: there are no rows"),
    ],
)
def test_rows_that_do_not_fit(estimator: Any, data: Any, match: str) -> None:
    """A missing column is named, another width is told."""
    with pytest.raises(ConversionError, match=match):
        rows_for(estimator, data)


def test_classes_are_those_that_a_graph_answers() -> None:
    """Booleans and whole floats become the integers that a graph gives as labels; text stays."""
    for labels, classes in (([False, True], (0, 1)), ([0.0, 1.0], (0, 1)), (["n", "y"], ("n", "y"))):
        estimator = LogisticRegression().fit(np.array([[0.0], [1.0]]), labels)
        assert classes_of(estimator) == classes
