"""A fitted estimator becomes an ONNX model that says the same, or is refused with figures.

Single precision is tried first, double precision where single does not agree with the original.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal

import msgspec
import numpy as np
from sklearn.base import is_classifier, is_regressor
from sklearn.exceptions import NotFittedError

from driftgate.models.convert.agreement import agrees, figures, measure
from driftgate.models.convert.frames import (
    frame_columns,
    frame_feeds,
    matrix_columns,
    missing_kinds,
    with_token,
)
from driftgate.models.convert.graph import prepare_graph
from driftgate.models.convert.missing import refuse_other_missing
from driftgate.models.convert.originals import EstimatorRows, answers_of, classes_of
from driftgate.models.convert.sklearn import fitted_core, sklearn_to_onnx
from driftgate.models.convert.stated import StatedColumn, with_stated_columns
from driftgate.models.convert.steps import steps_of, suspects
from driftgate.models.convert.tasks import classification, regression, scoring
from driftgate.models.errors import ConversionError, LoadError, RunError
from driftgate.models.run.runtime import Array, Session
from driftgate.models.schema.manifest import Agreement, Column, Task
from driftgate.models.schema.signature import FLOATS, Signature

MATRIX_INPUT = "input"
BOOSTERS = frozenset({"lightgbm", "xgboost"})
REMEDIES = (
    "Give a tolerance that the model's use allows (tolerance=), or scale inputs to similar size before "
    "fitting: most differences come from large values that single precision rounds."
)


@dataclass(frozen=True)
class Converted:
    """A graph that agrees with its original, its columns and task, and the examples as tensors."""

    model: bytes
    columns: tuple[Column, ...]
    task: Task
    feeds: Mapping[str, Array]
    agreement: Agreement


@dataclass(frozen=True)
class Request:
    """What to convert: the estimator, rows to compare on, rows that show the columns, stated columns."""

    estimator: Any
    examples: EstimatorRows
    reference: EstimatorRows
    stated: tuple[StatedColumn, ...]
    tolerance: float
    label_name: str | None = None


def convert(request: Request) -> Converted:
    """Return the ONNX form of a fitted estimator, compared on its examples.

    Raises ConversionError that names the step without an ONNX form, or shows by how much the graph differs.
    """
    _register_boosters(request.estimator)
    try:
        answers = answers_of(request.estimator, request.examples)
    except NotFittedError as error:
        raise ConversionError(f"{type(request.estimator).__name__} is not fitted: call fit first") from error
    try:
        single = _attempt(request, answers, "single")
    except (LoadError, RunError) as error:
        raise _unrunnable(request.estimator, error) from error
    if agrees(single.agreement):
        return single
    try:
        double = _attempt(request, answers, "double")
    except (ConversionError, LoadError, RunError) as error:
        raise _disagreement(
            request, single.agreement, f"In double precision it cannot be had: {error}."
        ) from error
    if agrees(double.agreement):
        return double
    raise _disagreement(request, single.agreement, f"In {figures(double.agreement)}.")


def task_of(estimator: Any, signature: Signature, label_name: str | None) -> Task:
    """Return what the outputs of an estimator's graph mean."""
    classes = classes_of(estimator)
    if classes is not None and is_classifier(estimator):
        return classification(signature, classes, label_name, scores=_scores_of(estimator))
    if is_regressor(estimator):
        return regression(signature, label_name)
    return scoring(signature)


def _scores_of(classifier: Any) -> Literal["probabilities", "score", "other"]:
    if hasattr(classifier, "predict_proba"):
        return "probabilities"
    return "score" if hasattr(classifier, "decision_function") else "other"


def _attempt(request: Request, answers: Sequence[Array], precision: Literal["single", "double"]) -> Converted:
    double = precision == "double"
    columns = _columns(request, double)
    if request.examples.named:
        refuse_other_missing(request.estimator, missing_kinds(request.examples.frame))
    graph = prepare_graph(sklearn_to_onnx(request.estimator, columns, request.examples.frame))
    session = Session(graph.model)
    columns = tuple(column for column in columns if session.signature.input(column.input) is not None)
    feeds = _feeds(request.examples, columns)
    names = [spec.name for spec in session.signature.outputs]
    converted = dict(zip(names, session.run(feeds), strict=True))
    original = dict(zip(names, answers, strict=False))
    return Converted(
        model=graph.model,
        columns=columns,
        task=task_of(fitted_core(request.estimator), session.signature, request.label_name),
        feeds=feeds,
        agreement=measure(original, converted, request.tolerance, precision),
    )


def _columns(request: Request, double: bool) -> tuple[Column, ...]:
    """Return what the reference shows, with what is stated; floats follow the precision of the attempt."""
    rows = request.reference
    if rows.named:
        inferred = frame_columns(rows.frame, double)
    else:
        inferred = matrix_columns(list(rows.frame.columns), rows.matrix, MATRIX_INPUT, double)
    stated = with_stated_columns(inferred, request.stated)
    if rows.named:  # the graph looks its inputs up by these names
        stated = tuple(
            msgspec.structs.replace(column, name=own.name, input=own.input, index=own.index)
            for column, own in zip(stated, inferred, strict=True)
        )
    floats = "FP64" if double else "FP32"
    return tuple(
        with_token(msgspec.structs.replace(column, datatype=floats) if column.datatype in FLOATS else column)
        for column in stated
    )


def _feeds(rows: EstimatorRows, columns: Sequence[Column]) -> dict[str, Array]:
    if rows.named:
        return frame_feeds(rows.frame, columns)
    dtype = np.float64 if columns[0].datatype == "FP64" else np.float32
    return {MATRIX_INPUT: rows.matrix.astype(dtype)}


def boosters_in(estimator: Any) -> frozenset[str]:
    """Return which booster libraries the steps of an estimator come from."""
    return frozenset(type(step).__module__.partition(".")[0] for _, step in steps_of(estimator)) & BOOSTERS


def _register_boosters(estimator: Any) -> None:
    if boosters_in(estimator):
        boosters = import_module("driftgate.models.convert.boosters")
        for _, step in steps_of(estimator):
            boosters.register_booster(step)


def _unrunnable(estimator: Any, error: Exception) -> ConversionError:
    return ConversionError(f"the ONNX form does not run: {error}.{suspects(estimator)}")


def _disagreement(request: Request, single: Agreement, double: str) -> ConversionError:
    return ConversionError(
        f"the ONNX form does not agree with the original within {request.tolerance:g}. "
        f"In {figures(single)}. {double}{suspects(request.estimator)} {REMEDIES}"
    )
