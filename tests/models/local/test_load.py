"""A version in this process, by the code that serves it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder

import driftgate
from driftgate.models.errors import InvalidInput, LoadError, UnsafeFile
from driftgate.models.publish.onnx_file import Published

from harness.models import linear_model

FRAME = pd.DataFrame(
    {
        "age": [31.0, np.nan, 47.0, 22.0, 60.0, 18.0],
        "visits": [1, 2, 3, 4, 5, 6],
        "city": ["Lyon", "Köln", None, "Lyon", "Köln", None],
    }
)
LABEL = np.array(["no", "yes", "no", "yes", "no", "yes"])


@pytest.fixture(scope="module")
def buyers(tmp_path_factory: pytest.TempPathFactory) -> tuple[Pipeline, Published]:
    """A pipeline on text and numbers with missing values, and its published version."""
    columns = ColumnTransformer(
        [
            ("numbers", SimpleImputer(), ["age", "visits"]),
            ("city", OneHotEncoder(handle_unknown="ignore", sparse_output=False), ["city"]),
        ]
    )
    estimator = make_pipeline(columns, LogisticRegression()).fit(FRAME, LABEL)
    registry = tmp_path_factory.mktemp("registry")
    return estimator, driftgate.publish(estimator, name="buyers", examples=FRAME, registry=registry)


def test_predictions_are_the_estimators(buyers: tuple[Pipeline, Published]) -> None:
    """A data frame in, its index kept, a column per output and class, as the estimator predicts."""
    estimator, published = buyers
    rows = FRAME.set_index(pd.Index(list("abcdef")))
    answer = driftgate.load(published.directory).predict(rows)
    assert list(answer.columns) == ["label", "probabilities_no", "probabilities_yes"]
    assert answer.index.tolist() == list("abcdef")
    assert answer["label"].tolist() == estimator.predict(FRAME).tolist()
    np.testing.assert_allclose(
        answer[["probabilities_no", "probabilities_yes"]], estimator.predict_proba(FRAME), atol=1e-6
    )


def test_lists_of_dicts_are_rows_too(buyers: tuple[Pipeline, Published]) -> None:
    """Rows as JSON has them give the same answers; what may be missing may be left out."""
    model = driftgate.load(buyers[1].directory)
    rows: list[dict[str, Any]] = [{"visits": 2}, {"age": 31.0, "visits": 1, "city": "never seen"}]
    assert model.predict(rows).equals(model.predict(pd.DataFrame(rows)))


@pytest.mark.parametrize(
    ("row", "match"),
    [
        ({"age": 1.0, "visits": 1.5, "city": "Lyon"}, "visits"),
        ({"age": 1.0, "visits": None, "city": "Lyon"}, "visits"),
        ({"age": 1.0, "visits": 1, "city": "Lyon", "colour": "red"}, "colour"),
    ],
)
def test_bad_rows_are_refused_as_the_server_does(
    buyers: tuple[Pipeline, Published], row: dict[str, Any], match: str
) -> None:
    """The checks are those of the server: the column is named."""
    with pytest.raises(InvalidInput, match=match):
        driftgate.load(buyers[1].directory).predict([row])


def test_a_damaged_version_is_not_loaded(publish_version: Callable[..., Published]) -> None:
    """Files are hashed before they are opened, as a worker does."""
    published = publish_version("m")
    model = published.directory / "model.onnx"
    model.write_bytes(model.read_bytes()[:-1] + b"\0")
    with pytest.raises(UnsafeFile):
        driftgate.load(published.directory)


def test_a_bare_file_is_loaded_and_leaves_nothing(tmp_path: Path) -> None:
    """An ONNX file that was never published can be tried; nothing is written beside it."""
    (tmp_path / "m.onnx").write_bytes(linear_model(2.0).SerializeToString())
    answer = driftgate.load(tmp_path / "m.onnx").predict([{"f0": 1.0, "f1": 2.0, "f2": 3.0, "f3": 4.0}])
    assert answer["y"].tolist() == [20.0]
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]


def test_the_file_of_a_version_is_its_version(publish_version: Callable[..., Published]) -> None:
    """The path of model.onnx inside a version loads that version, with its manifest."""
    published = publish_version("m")
    assert driftgate.load(published.directory / "model.onnx").manifest == published.manifest


def test_what_is_no_version_says_what_would_be(tmp_path: Path) -> None:
    """A directory without manifest is refused with an example of a path that works."""
    with pytest.raises(LoadError, match="registry/NAME/1"):
        driftgate.load(tmp_path)
