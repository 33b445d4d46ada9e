"""The demo's two training problems: what is fitted, on which rows, and what is kept to judge it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from driftgate.gateway.demo import flights, stored, tumours

SEED = 2013
FLIGHT_ROWS = 40_000
FIRST_HELD_OUT_MONTH = 9
TRAINING_TUMOURS = 400
COMPLETE = ("hour", "month", "distance")
INCOMPLETE = tuple(name for name in flights.FEATURES if name not in (*flights.STRINGS, *COMPLETE))


@dataclass(frozen=True)
class Problem:
    """A training problem: rows to learn from, later rows to judge by, and an estimator per version.

    `reference` are rows as traffic is expected to look like. `matrix` says that the estimators take a plain
    matrix, instead of columns by their names. With a `binding` clients send the columns `sent`, and the rest
    is stored.
    """

    model: str
    features: tuple[str, ...]
    target: str
    train: pd.DataFrame
    held_out: pd.DataFrame
    reference: pd.DataFrame
    estimators: Mapping[int, Callable[[], Pipeline]]
    matrix: bool = False
    sent: tuple[str, ...] = ()
    binding: Mapping[str, Any] | None = None
    units: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Trained:
    """One fitted version, its probabilities of class 1 for the held-out rows, and their AUC."""

    problem: Problem
    version: int
    estimator: Pipeline
    scores: NDArray[np.float64]
    auc: float


def problems() -> tuple[Problem, ...]:
    """Return both training problems, the tables read."""
    return _flight_delay(), _tumour()


def train(problem: Problem, version: int) -> Trained:
    """Fit one version of a problem and judge it on the held-out rows."""
    learnt_from = _as_taken(problem, problem.train)
    estimator = problem.estimators[version]().fit(learnt_from, problem.train[problem.target])
    scores = estimator.predict_proba(_as_taken(problem, problem.held_out))[:, 1]
    auc = float(roc_auc_score(problem.held_out[problem.target], scores))
    return Trained(problem, version, estimator, scores, auc)


def _as_taken(problem: Problem, frame: pd.DataFrame) -> pd.DataFrame | NDArray[np.float64]:
    features = frame[list(problem.features)]
    return features.to_numpy(dtype="float64") if problem.matrix else features


def _flight_delay() -> Problem:
    frame = flights.flight_frame(FLIGHT_ROWS, SEED)
    before, later = flights.split_at_month(frame, FIRST_HELD_OUT_MONTH)
    # In no order, so that every minute of the demo is like all of them: the first hours of a month are not.
    later = later.sample(frac=1, random_state=SEED)
    estimators = {1: _linear_flights, 2: _boosted_flights}
    return Problem(
        "flight_delay",
        flights.FEATURES,
        flights.TARGET,
        before,
        later,
        frame,
        estimators,
        sent=stored.SENT,
        binding=stored.BINDING,
        units=flights.UNITS,
    )


def _tumour() -> Problem:
    frame = tumours.tumour_frame(SEED)
    features = tuple(name for name in frame.columns if name != tumours.TARGET)
    some, others = frame[:TRAINING_TUMOURS], frame[TRAINING_TUMOURS:]
    estimators = {1: _linear_tumours, 2: _boosted_tumours}
    return Problem("tumour", features, tumours.TARGET, some, others, some, estimators, matrix=True)


def _linear_flights() -> Pipeline:
    incomplete = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    numbers = [
        ("complete", StandardScaler(), list(COMPLETE)),
        ("incomplete", incomplete, list(INCOMPLETE)),
    ]
    return make_pipeline(ColumnTransformer([_strings(), *numbers]), LogisticRegression(max_iter=300))


def _boosted_flights() -> Pipeline:
    """Trees need no scale and know missing numbers by themselves."""
    numbers = ("numbers", "passthrough", [*COMPLETE, *INCOMPLETE])
    trees = HistGradientBoostingClassifier(
        max_iter=60, learning_rate=0.06, max_leaf_nodes=8, min_samples_leaf=200, random_state=SEED
    )
    return make_pipeline(ColumnTransformer([_strings(), numbers]), trees)


def _strings() -> tuple[str, Pipeline, list[str]]:
    known = make_pipeline(
        SimpleImputer(strategy="constant", fill_value="unknown"),
        OneHotEncoder(handle_unknown="ignore", sparse_output=False),
    )
    return "strings", known, list(flights.STRINGS)


def _linear_tumours() -> Pipeline:
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))


def _boosted_tumours() -> Pipeline:
    return make_pipeline(HistGradientBoostingClassifier(max_iter=150, max_leaf_nodes=4, random_state=SEED))
