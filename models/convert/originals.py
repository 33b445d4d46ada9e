"""What a fitted estimator itself makes of rows: in the form that it was fitted on, and its own answers."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import is_classifier, is_regressor

from driftgate.models.errors import ConversionError
from driftgate.models.run.runtime import Array

_MADE_UP_NAME = re.compile(r"Column_\d+|f\d+")
"""How boosters call the columns of a matrix."""


@dataclass(frozen=True)
class EstimatorRows:
    """Rows as an estimator takes them: by column name, or (not `named`) as a plain matrix."""

    frame: pd.DataFrame
    named: bool

    @property
    def matrix(self) -> Array:
        """The rows as one matrix of numbers; raises ConversionError where they are none."""
        try:
            matrix: Array = self.frame.to_numpy(dtype=np.float64, na_value=np.nan)
        except (TypeError, ValueError) as error:
            raise ConversionError(
                "the estimator was fitted on a matrix, and the examples hold text: fit it on a data frame"
            ) from error
        return matrix

    @property
    def taken(self) -> Any:
        """What to call the estimator's methods with."""
        return self.frame if self.named else self.matrix


def rows_for(estimator: Any, data: Any, target: str | None = None) -> EstimatorRows:
    """Return `data` (data frame, matrix, or list of dicts) as the rows that `estimator` was fitted on.

    The `target` column and columns that the estimator does not know are left out. Raises ConversionError
    naming the column that is missing, or the width that differs.
    """
    frame = as_frame(data, target)
    names = _fitted_names(estimator)
    if names is None or not _is_named(data):
        width = getattr(estimator, "n_features_in_", len(frame.columns))
        if width != len(frame.columns):
            raise ConversionError(
                f"the estimator was fitted on {width} columns, and the rows given (examples, reference) "
                f"have {len(frame.columns)}"
            )
        return EstimatorRows(frame if names is None else frame.set_axis(names, axis=1), names is not None)
    if _same_but_spelling(names, frame):
        return EstimatorRows(frame, named=True)
    absent = [name for name in names if name not in frame.columns]
    if absent:
        raise ConversionError(
            f"the rows given (examples, reference) lack column {absent[0]!r}, "
            "which the estimator was fitted on"
        )
    return EstimatorRows(frame[list(names)], named=True)


def answers_of(estimator: Any, rows: EstimatorRows) -> list[Array]:
    """Return the estimator's answers in its graph's order: labels or values, then scores.

    Raises ConversionError for what has none of scikit-learn's methods.
    """
    if not hasattr(estimator, "get_params") or not {"predict", "transform"} & set(dir(estimator)):
        raise ConversionError(
            f"{type(estimator).__name__} cannot be published: give a fitted estimator or "
            "pipeline of scikit-learn (LGBMClassifier and XGBClassifier are such), a torch.nn.Module, or the "
            "path of an ONNX file"
        )
    methods = ["predict"] if hasattr(estimator, "predict") else []
    methods += [method for method in _score_methods(estimator) if hasattr(estimator, method)][:1]
    return [np.asarray(getattr(estimator, method)(rows.taken)) for method in methods]


def classes_of(estimator: Any) -> tuple[Any, ...] | None:
    """Return the classes of a classifier in probability order, as plain values, or None.

    Booleans and whole floats become integers, as which a graph answers them.
    """
    classes = getattr(estimator, "classes_", None)
    if classes is None or isinstance(classes, list):
        return None
    array = np.asarray(classes)
    if array.dtype.kind == "b" or (array.dtype.kind == "f" and bool(np.all(array == np.floor(array)))):
        array = array.astype(np.int64)
    return tuple(array.tolist())


def is_arrays(data: Any) -> bool:
    """Whether `data` is arrays by input name, and not rows."""
    return isinstance(data, Mapping)


def as_frame(data: Any, target: str | None) -> pd.DataFrame:
    """Return rows (data frame, matrix, list of dicts) as a data frame with text names, without `target`.

    Raises ConversionError for what holds no rows.
    """
    if isinstance(data, pd.DataFrame):
        frame = data
    elif _is_named(data):
        frame = pd.DataFrame(list(data))
    else:
        frame = _frame_of_matrix(np.asarray(data))
    frame = frame.rename(columns=str)
    if target is not None and target in frame.columns:
        frame = frame.drop(columns=[target])
    if frame.empty:
        raise ConversionError("examples or reference: there are no rows in it")
    return frame


def _is_named(data: Any) -> bool:
    """Whether rows name their columns: a data frame, or a list of dicts."""
    if isinstance(data, list | tuple):
        return all(isinstance(row, Mapping) for row in data)
    return isinstance(data, pd.DataFrame)


def _frame_of_matrix(matrix: Array) -> pd.DataFrame:
    if matrix.ndim != 2:
        raise ConversionError(f"examples have shape {list(matrix.shape)}: a matrix [rows, columns] is needed")
    return pd.DataFrame(matrix, columns=pd.Index([f"f{place}" for place in range(matrix.shape[1])]))


def _fitted_names(estimator: Any) -> list[str] | None:
    """Return the column names of the data frame that the estimator was fitted on; None for a matrix."""
    names = getattr(estimator, "feature_names_in_", None)
    if names is None:
        return None
    texts = [str(name) for name in names]
    return None if all(map(_MADE_UP_NAME.fullmatch, texts)) else texts


def _same_but_spelling(names: Sequence[str], frame: pd.DataFrame) -> bool:
    """Whether the names are the frame's in order, with the spaces that boosters replace."""
    own = [re.sub(r"\s", "_", str(name)) for name in frame.columns]
    return own == list(names)


def _score_methods(estimator: Any) -> Sequence[str]:
    if is_classifier(estimator):
        return ("predict_proba", "decision_function")
    return () if is_regressor(estimator) else ("decision_function", "transform")
