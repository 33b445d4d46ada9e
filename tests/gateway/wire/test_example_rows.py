"""Rows to show people how a model is asked."""

from pathlib import Path

import numpy as np
import pytest

from driftgate.gateway.wire.example_rows import example_rows
from driftgate.models.run.examples import save_examples
from driftgate.models.schema.bare import bare_columns
from driftgate.models.schema.columns import feeds_from_rows
from driftgate.models.schema.manifest import EXAMPLES_FILE
from driftgate.models.schema.signature import Signature, TensorSpec

from harness.protocol import Spec, manifest_of


def test_published_examples_are_shown(tmp_path: Path) -> None:
    """Where a version was published with examples, its first ones are shown."""
    manifest = manifest_of([("x", "FP32", (-1, 1))], columns=bare_columns(_signature(("x", "FP32", (-1, 1)))))
    save_examples(tmp_path / EXAMPLES_FILE, {"x": np.array([[7], [8], [9]], np.float32)}, {})
    assert example_rows(tmp_path, manifest, 2) == [{"x": 7.0}, {"x": 8.0}]


def test_single_precision_is_shown_as_people_write_it(tmp_path: Path) -> None:
    """Rows to copy hold 5.1, not 5.099999904632568, and mean the same number."""
    manifest = manifest_of([("x", "FP32", (-1, 1))], columns=bare_columns(_signature(("x", "FP32", (-1, 1)))))
    save_examples(tmp_path / EXAMPLES_FILE, {"x": np.array([[5.1]], np.float32)}, {})
    rows = example_rows(tmp_path, manifest)
    assert rows == [{"x": 5.1}]
    assert feeds_from_rows(manifest, rows)["x"].tolist() == [[np.float32(5.1)]]


@pytest.mark.parametrize(
    "specs",
    [
        [("x", "FP32", (-1, 4))],
        [("n", "INT64", (-1, 1)), ("flag", "BOOL", (-1, 1)), ("text", "BYTES", (-1,))],
        [("image", "UINT8", (-1, 2, 2))],
        [("fixed", "FP64", (3,))],
    ],
)
def test_rows_are_made_up_where_there_are_no_examples(tmp_path: Path, specs: list[Spec]) -> None:
    """A model of a plain tree has rows to ask it with too, and it takes them."""
    manifest = manifest_of(specs, columns=bare_columns(_signature(*specs)))
    rows = example_rows(tmp_path, manifest)
    assert len(rows) == 1
    assert set(feeds_from_rows(manifest, rows)) == {name for name, _, _ in specs}


def _signature(*specs: Spec) -> Signature:
    return Signature(tuple(TensorSpec(*spec) for spec in specs), ())
