"""The demo's pure parts: rows, bodies, answers, ports and the summary."""

import json
import math
import shlex
import socket
from typing import Any

import pandas as pd
import pytest

from driftgate.gateway.demo.documents import (
    Answer,
    Protocol,
    Scored,
    UnexpectedAnswer,
    body_of,
    curl_of,
    scored,
)
from driftgate.gateway.demo.drift import DriftSeen
from driftgate.gateway.demo.flights import (
    FEATURES,
    STRINGS,
    TARGET,
    TIME,
    flight_frame,
    in_celsius,
    split_at_month,
)
from driftgate.gateway.demo.held_out import HeldOut, Row
from driftgate.gateway.demo.job import rows_of
from driftgate.gateway.demo.ports import HOST, PortTaken, choose_ports
from driftgate.gateway.demo.summary import Shown, summarise
from driftgate.gateway.demo.tumours import tumour_frame

MATRIX = {"inputs": [{"name": "X", "datatype": "FP32", "shape": [-1, 2]}]}
NAMED = {
    "inputs": [
        {"name": "b", "datatype": "BYTES", "shape": [-1, 1]},
        {"name": "a", "datatype": "FP32", "shape": [-1, 1]},
    ]
}


@pytest.fixture(name="flights", scope="module")
def flights_fixture() -> pd.DataFrame:
    """Return two thousand flights."""
    return flight_frame(2_000, seed=1)


def held_out(version: int, scores: tuple[float, ...] = (0.25, 0.75)) -> HeldOut:
    """Return held-out rows of a tumour model."""
    row: Row = {"mean_radius": 1.0, "mean_texture": 2.0}
    return HeldOut("tumour", version, 0.9, 100, "probabilities", (row, row), (0, 1), scores)


def answer(version: int, row: int = 0, score: float = 0.25, error: str = "") -> Answer:
    """Return one answer of the tumour model, after one millisecond for each row number."""
    return Answer("tumour", row, 1.0 + row, version, score, error)


def shown(seconds: float = 1.0) -> Shown:
    """Return what a demo whose drift was found has beside its answers."""
    return Shown(seconds, {}, DriftSeen("temp", ("temp",), 5.0, 1.0, 9.0))


def test_flights_are_drawn_by_seed(flights: pd.DataFrame) -> None:
    """The same seed draws the same flights, another seed draws others."""
    assert flights.equals(flight_frame(2_000, seed=1))
    assert not flights.equals(flight_frame(2_000, seed=2))


def test_flights_come_in_order_of_time(flights: pd.DataFrame) -> None:
    """Flights are ordered by scheduled time, all features are there, and the target is 0 or 1."""
    assert flights[TIME].is_monotonic_increasing
    assert set(FEATURES) <= set(flights.columns)
    assert set(flights[TARGET]) == {0, 1}


def test_flights_have_missing_strings_and_numbers(flights: pd.DataFrame) -> None:
    """Planes and weather that are not known are missing values, in strings and in numbers."""
    assert flights["engine"].isna().any()
    assert flights["plane_year"].isna().any()
    assert flights["pressure"].isna().any()
    assert all(pd.api.types.is_string_dtype(flights[name]) for name in STRINGS)


def test_flights_split_without_overlap(flights: pd.DataFrame) -> None:
    """Every flight is either before the month or not."""
    before, later = split_at_month(flights, 9)
    assert len(before) + len(later) == len(flights)
    assert before["month"].max() < 9 <= later["month"].min()


def test_a_shifted_feature_keeps_everything_else(flights: pd.DataFrame) -> None:
    """A feed that changed its unit changes temperatures alone."""
    shifted = in_celsius(flights)
    assert shifted["temp"].max() < 45 < flights["temp"].max()
    assert shifted.drop(columns="temp").equals(flights.drop(columns="temp"))


def test_tumours_are_all_there() -> None:
    """All 569 tumours come with 30 measurements and a target."""
    assert tumour_frame(0).shape == (569, 31)


def test_missing_values_are_sent_as_null() -> None:
    """A row is what JSON can say: missing values are null, numbers keep their kind."""
    frame = pd.DataFrame({"a": [1, 2], "b": [0.5, math.nan], "c": ["x", None]})
    assert json.dumps(rows_of(frame)) == '[{"a": 1, "b": 0.5, "c": "x"}, {"a": 2, "b": null, "c": null}]'


@pytest.mark.parametrize(
    ("protocol", "metadata", "expected"),
    [
        ("predict", MATRIX, {"rows": [{"a": 1.5, "b": None}]}),
        (
            "infer",
            MATRIX,
            {"inputs": [{"name": "X", "shape": [1, 2], "datatype": "FP32", "data": [1.5, None]}]},
        ),
        (
            "infer",
            NAMED,
            {
                "inputs": [
                    {"name": "b", "shape": [1, 1], "datatype": "BYTES", "data": [None]},
                    {"name": "a", "shape": [1, 1], "datatype": "FP32", "data": [1.5]},
                ]
            },
        ),
    ],
)
def test_bodies(protocol: Protocol, metadata: dict[str, Any], expected: dict[str, Any]) -> None:
    """A row becomes rows by name, one matrix, or one tensor for each input, as the model takes it."""
    assert body_of(protocol, {"a": 1.5, "b": None}, metadata) == expected


@pytest.mark.parametrize(
    ("protocol", "body"),
    [
        ("predict", {"model_version": "2", "rows": [{"label": 1, "p": [0.25, 0.75]}]}),
        ("infer", {"model_version": "2", "outputs": [{"name": "l"}, {"name": "p", "data": [0.25, 0.75]}]}),
    ],
)
def test_answers_are_understood(protocol: Protocol, body: dict[str, Any]) -> None:
    """Both protocols tell the version and the probability of class 1."""
    assert scored(body, protocol, "p") == Scored(2, 0.75)


@pytest.mark.parametrize("body", [{}, [], {"model_version": "2", "rows": []}, {"model_version": "x"}, None])
def test_strange_answers_are_refused(body: Any) -> None:
    """A body without version or probability is an error, not a crash."""
    with pytest.raises(UnexpectedAnswer):
        scored(body, "predict", "p")


def test_curl_can_be_pasted() -> None:
    """The shown command line splits, as a shell does it, into a URL and a JSON body."""
    words = shlex.split(curl_of("http://h:1", "m", {"name": "O'Hare", "x": None}))
    assert words[2] == "http://h:1/v2/models/m/predict"
    assert json.loads(words[-1]) == {"rows": [{"name": "O'Hare", "x": None}]}


def test_summary_counts_by_version() -> None:
    """Requests, errors, answers by version and latencies are those of the answers."""
    answers = [answer(1), answer(2, row=1, score=0.75), answer(2), answer(0, error="refused")]
    summary = summarise(answers, [held_out(1), held_out(2)], shown(2.0))
    assert (summary.requests, summary.errors) == (4, 1)
    assert [(one.version, one.answers) for one in summary.models[0].versions] == [(1, 1), (2, 2)]
    assert (summary.p50_ms, summary.p99_ms) == (1.0, 1.98)
    assert summary.problems == ("tumour: refused",)


def test_summary_of_a_good_run_has_no_problem() -> None:
    """Nothing is called a problem where both versions answered as their estimators do."""
    summary = summarise([answer(1), answer(2)], [held_out(1), held_out(2)], shown())
    assert summary.problems == ()
    assert "25% likely to be benign; it was malignant" in summary.samples[0]


@pytest.mark.parametrize(
    ("answers", "problem"),
    [
        ([answer(1)], "tumour: version 2 answered nothing"),
        ([answer(1), answer(2, score=0.26)], "tumour: version 2 differs from its estimator by 0.01"),
        (
            [answer(1), answer(2, score=math.nan), answer(2)],
            "tumour: version 2 differs from its estimator by nan",
        ),
    ],
)
def test_summary_tells_what_is_wrong(answers: list[Answer], problem: str) -> None:
    """A silent version and a score that is not the estimator's are problems."""
    assert problem in summarise(answers, [held_out(1), held_out(2)], shown()).problems


def test_no_request_is_a_problem() -> None:
    """A demo that sent nothing has not worked."""
    assert "no request was sent" in summarise([], [held_out(1)], shown()).problems


def test_ports_that_are_taken() -> None:
    """A port that was asked for and is taken is refused, naming the option to change."""
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(PortTaken, match=rf"port {port} is in use.*--admin-port"):
            choose_ports(None, port, None)


def test_drift_that_is_not_found_is_a_problem() -> None:
    """The demo fails if nobody says which feature drifted."""
    summary = summarise([answer(1)], [held_out(1)], Shown(1.0, {}, DriftSeen("temp")))
    assert any("temp" in problem for problem in summary.problems)
