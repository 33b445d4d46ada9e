"""Whether a version accepts what another's clients send."""

import pytest

from driftgate.gateway.routing.compatibility import MAX_NAMED, incompatibilities
from driftgate.models.schema.manifest import Column
from driftgate.models.schema.signature import TensorSpec

from harness.manifests import paper_manifest

Specs = tuple[TensorSpec, ...]

X = TensorSpec("x", "FP32", (-1, 2))
AGE, CITY = Column("age", "x", "FP32", 0), Column("city", "x", "FP32", 1)


STABLE = paper_manifest(inputs=(X,), columns=(AGE, CITY))


@pytest.mark.parametrize(
    ("inputs", "columns"),
    [
        ((X,), (AGE, CITY)),
        ((X,), (Column("age", "x", "FP32", 0, unit="years", missing=True), CITY)),
        ((X, TensorSpec("z", "FP32", (-1, 1))), (AGE, CITY, Column("z", "z", "FP32", missing=True))),
        ((TensorSpec("x", "FP32", (-1, -1)),), (AGE, CITY)),
    ],
)
def test_same_inputs_and_optional_additions_fit(inputs: Specs, columns: tuple[Column, ...]) -> None:
    """The same inputs fit, and so do additions that clients need not send."""
    assert incompatibilities(STABLE, paper_manifest(inputs=inputs, columns=columns)) == ()


@pytest.mark.parametrize(
    ("inputs", "columns", "named"),
    [
        ((TensorSpec("w", "FP32", (-1, 2)),), (), ("input 'x' is gone", "input 'w' is new and required")),
        ((TensorSpec("x", "FP64", (-1, 2)),), (AGE, CITY), ("input 'x' is FP64 instead of FP32",)),
        ((TensorSpec("x", "FP32", (-1, 3)),), (AGE, CITY), ("shape [-1, 3] instead of [-1, 2]",)),
        ((TensorSpec("x", "FP32", (4, 2)),), (AGE, CITY), ("shape [4, 2] instead of [-1, 2]",)),
        ((X,), (AGE,), ("column 'city' is gone",)),
        (
            (X,),
            (Column("age", "x", "FP32", 1), Column("city", "x", "FP32", 0)),
            ("column 'age' has moved from x[0] to x[1]", "column 'city' has moved"),
        ),
        ((X,), (AGE, CITY, Column("sex", "x", "FP32", 2)), ("column 'sex' is new and required",)),
        ((X, TensorSpec("z", "FP32", (-1, 1))), (AGE, CITY), ("input 'z' is new and required",)),
    ],
)
def test_what_does_not_fit_is_named(
    inputs: Specs, columns: tuple[Column, ...], named: tuple[str, ...]
) -> None:
    """Every input and column that differs is named, with what it was and what it is."""
    found = "; ".join(incompatibilities(STABLE, paper_manifest(inputs=inputs, columns=columns)))
    for text in named:
        assert text in found


def test_a_column_that_may_no_longer_be_missing_does_not_fit() -> None:
    """Clients that send null today would be refused."""
    before = paper_manifest(inputs=(X,), columns=(Column("age", "x", "FP32", 0, missing=True), CITY))
    assert incompatibilities(before, STABLE) == ("column 'age' may no longer be missing",)


def test_the_text_stays_short() -> None:
    """A thousand columns that are gone do not make an answer of a thousand lines."""
    before = paper_manifest(inputs=(X,), columns=tuple(Column(f"c{n}", "x", "FP32", n) for n in range(1000)))
    assert len(incompatibilities(before, STABLE)) == MAX_NAMED + 1
