"""Estimators and files are published with what they, their rows and people say of them."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from driftgate.models.errors import (
    ConversionError,
    InvalidInput,
)
from driftgate.models.publish.model import publish
from driftgate.models.run.examples import load_examples
from driftgate.models.schema.manifest import decode_manifest

from harness.models import linear_model


def _estimator() -> tuple[LogisticRegression, pd.DataFrame]:
    generator = np.random.default_rng(1)
    frame = pd.DataFrame(generator.normal(size=(100, 4)), columns=["a", "b", "c", "d"])
    frame["bought"] = (frame["a"] > 0).astype(int)
    return LogisticRegression().fit(frame[["a", "b", "c", "d"]], frame["bought"]), frame


def test_an_estimator_is_published_with_its_meaning(registry_root: Path) -> None:
    """Columns, task, agreement and provenance come from the estimator and its data; the label is no input."""
    estimator, frame = _estimator()
    published = publish(
        estimator, name="buyers", registry=registry_root, reference=frame, target="bought", meta={"team": "x"}
    )
    manifest = decode_manifest((published.directory / "manifest.json").read_bytes())
    assert [column.name for column in manifest.columns] == ["a", "b", "c", "d"]
    assert (manifest.task.label_name, manifest.task.positive_class, manifest.task.threshold) == (
        "bought",
        1,
        0.5,
    )
    assert manifest.agreement is not None
    assert manifest.agreement.outputs[0].rows == 100
    assert manifest.golden is not None
    assert manifest.golden.rows == 64
    assert manifest.provenance.estimator == "sklearn.linear_model._logistic.LogisticRegression"
    assert len(manifest.provenance.training_data_sha256 or "") == 64
    assert {"onnx", "scikit-learn", "skl2onnx"} <= manifest.provenance.libraries.keys()
    assert (manifest.meta, manifest.warnings) == ({"team": "x"}, ())


def test_an_estimator_again_is_a_no_op(registry_root: Path) -> None:
    """Converting is repeatable to the byte, so publishing the same estimator again changes nothing."""
    estimator, frame = _estimator()
    versions = [
        publish(estimator, name="m", registry=registry_root, examples=frame, target="bought")
        for _ in range(2)
    ]
    assert [(published.version, published.created) for published in versions] == [(1, True), (1, False)]


def test_what_is_stated_overrides_what_is_inferred(registry_root: Path) -> None:
    """Stated fields of columns and task win, and the others keep what was inferred."""
    estimator, frame = _estimator()
    published = publish(
        estimator,
        name="m",
        registry=registry_root,
        examples=frame,
        target="bought",
        columns=[{"name": "b", "unit": "kg", "missing": True}],
        task={"threshold": 0.3, "outputs": [{"name": "label", "role": "other"}]},
    )
    column = published.manifest.columns[1]
    assert (column.name, column.unit, column.missing, column.datatype) == ("b", "kg", True, "FP32")
    assert (published.manifest.task.threshold, published.manifest.task.classes) == (0.3, (0, 1))
    assert published.manifest.task.outputs[0].role == "other"


def test_a_file_gets_names_from_a_reference(tmp_path: Path, registry_root: Path) -> None:
    """The columns of a matrix get the names of as many columns of the reference, in its order."""
    (tmp_path / "m.onnx").write_bytes(linear_model(1.0).SerializeToString())
    _, frame = _estimator()
    published = publish(
        tmp_path / "m.onnx", name="m", registry=registry_root, reference=frame, target="bought"
    )
    assert [(column.name, column.index) for column in published.manifest.columns] == [
        ("a", 0),
        ("b", 1),
        ("c", 2),
        ("d", 3),
    ]
    inputs, _ = load_examples(published.directory / "examples.npz")
    np.testing.assert_allclose(inputs["x"], frame[["a", "b", "c", "d"]].to_numpy()[:64], rtol=1e-6)


def test_rows_that_lack_a_renamed_column_are_refused(tmp_path: Path, registry_root: Path) -> None:
    """A column that is stated under a name which the rows do not have is named."""
    (tmp_path / "m.onnx").write_bytes(linear_model(1.0).SerializeToString())
    _, frame = _estimator()
    age = {"name": "age", "input": "x", "index": 0}
    with pytest.raises(InvalidInput, match="the rows lack column 'age'"):
        publish(
            tmp_path / "m.onnx",
            name="m",
            registry=registry_root,
            examples=frame,
            target="bought",
            columns=[age],
        )


@pytest.mark.parametrize(
    ("thing", "match"),
    [(object(), "object cannot be published: give"), (LogisticRegression(), "not fitted")],
)
def test_what_is_no_model_is_refused(registry_root: Path, thing: object, match: str) -> None:
    """What has no predictions to convert is refused with what could be published."""
    with pytest.raises(ConversionError, match=match):
        publish(thing, name="m", registry=registry_root, examples=np.zeros((3, 2)))


def test_an_estimator_needs_examples(registry_root: Path) -> None:
    """Without rows nothing can be compared, and the error says what they are for."""
    estimator, _ = _estimator()
    with pytest.raises(InvalidInput, match="examples="):
        publish(estimator, name="m", registry=registry_root)
