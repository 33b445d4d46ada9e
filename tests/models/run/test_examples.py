"""Golden examples on disk."""

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from driftgate.models.errors import InvalidManifest
from driftgate.models.run.examples import first_rows, load_examples, save_examples

DTYPES = st.sampled_from(["?", "<u1", "<u2", "<u4", "<u8", "<i1", "<i2", "<i4", "<i8", "<f2", "<f4", "<f8"])
SHAPES = hnp.array_shapes(min_dims=1, max_dims=3, max_side=4)
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
ARRAYS = st.one_of(
    DTYPES.flatmap(lambda dtype: hnp.arrays(dtype, SHAPES)),
    SHAPES.flatmap(lambda shape: hnp.arrays(object, shape, elements=TEXT)),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(inputs=st.dictionaries(TEXT, ARRAYS, max_size=3), outputs=st.dictionaries(TEXT, ARRAYS, max_size=3))
def test_round_trip(tmp_path: Path, inputs: dict[str, np.ndarray], outputs: dict[str, np.ndarray]) -> None:
    """Whatever tensors are saved come back equal, with their dtypes and names."""
    path = tmp_path / "examples.npz"
    save_examples(path, inputs, outputs)
    for saved, loaded in zip((inputs, outputs), load_examples(path), strict=True):
        assert list(saved) == list(loaded)
        for name, array in saved.items():
            np.testing.assert_array_equal(array, loaded[name])
            assert loaded[name].dtype == array.dtype


def test_equal_arrays_make_equal_bytes(tmp_path: Path) -> None:
    """Saving twice gives the same file, so that publishing again is seen as the same content."""
    arrays = {"x": np.arange(6.0).reshape(2, 3), "s": np.array([["a"], ["b"]], dtype=object)}
    save_examples(tmp_path / "1.npz", arrays, arrays)
    save_examples(tmp_path / "2.npz", arrays, arrays)
    assert (tmp_path / "1.npz").read_bytes() == (tmp_path / "2.npz").read_bytes()


@pytest.mark.parametrize(
    "array", [np.array(["a", None], dtype=object), np.array([b"a"]), np.array([1 + 2j]), np.array([{}])]
)
def test_only_plain_values_are_saved(tmp_path: Path, array: np.ndarray) -> None:
    """What would need pickle is refused by the name of its input."""
    with pytest.raises(InvalidManifest, match="'x'"):
        save_examples(tmp_path / "examples.npz", {"x": array}, {})


def _pickled(path: Path) -> None:
    arrays: dict[str, Any] = {"input:x": np.array([{"a": 1}], dtype=object)}
    np.savez(path, **arrays)


def _compressed(path: Path) -> None:
    arrays: dict[str, Any] = {"input:x": np.zeros(10**6)}
    np.savez_compressed(path, **arrays)


def _stranger(path: Path) -> None:
    np.savez(path, x=np.zeros(3))


def _promises_too_much(path: Path) -> None:
    header = np.lib.format.magic(1, 0)
    text = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }\n"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("input:x.npy", header + len(text).to_bytes(2, "little") + text)


def _no_archive(path: Path) -> None:
    path.write_bytes(b"<html>")


@pytest.mark.parametrize(
    "write", [_pickled, _compressed, _stranger, _promises_too_much, _no_archive], ids=lambda w: w.__name__
)
def test_bad_files_are_refused(tmp_path: Path, write: Callable[[Path], None]) -> None:
    """Pickles, bombs and what is no archive are refused with one kind of error and nothing is executed."""
    path = tmp_path / "examples.npz"
    write(path)
    with pytest.raises(InvalidManifest, match=r"examples\.npz is not a file of golden examples"):
        load_examples(path)


def test_first_rows_keeps_at_most_that_many() -> None:
    """No more rows than asked for are kept, of every array."""
    assert {name: len(a) for name, a in first_rows({"x": np.zeros(9), "y": np.zeros((3, 2))}, 5).items()} == {
        "x": 5,
        "y": 3,
    }
