"""A version is published whole, once, under one number."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pandas as pd
import pytest
from onnx import TensorProto, helper
from sklearn.linear_model import LogisticRegression

from driftgate.models.errors import (
    ConversionError,
    InvalidInput,
    InvalidManifest,
    InvalidName,
    VersionExists,
)
from driftgate.models.publish.model import publish
from driftgate.models.publish.onnx_file import Published, publish_file
from driftgate.models.registry.settings import parse_settings
from driftgate.models.run.examples import load_examples
from driftgate.models.schema.manifest import Column, decode_manifest
from driftgate.models.storage.transfer import verify_version

from harness.models import OPSET, linear_model, mixed_model

Publish = Callable[..., Published]


def visible(directory: Path) -> set[str]:
    """Return the names in a model's directory that a registry looks at."""
    return {path.name for path in directory.iterdir() if not path.name.startswith(".")}


def test_a_version_is_complete(publish_version: Publish) -> None:
    """Every file is there, listed with size and hash, and settings for people lie beside the version."""
    published = publish_version("m")
    manifest, digest = verify_version(published.directory)
    assert (manifest.name, manifest.version, digest) == ("m", 1, published.digest)
    assert visible(published.directory) == {"manifest.json", "model.onnx", "examples.npz"}
    assert [entry.path for entry in manifest.files] == ["examples.npz", "model.onnx"]
    assert visible(published.directory.parent) == {"1", "model.toml"}
    parse_settings((published.directory.parent / "model.toml").read_text())


def test_numbers_count_up_from_the_highest(publish_version: Publish, registry_root: Path) -> None:
    """Without a number the next one is taken, whatever lies there; gaps are never filled."""
    assert publish_version("m", version=7).version == 7
    (registry_root / "m" / "9").mkdir()
    assert publish_version("m", scale=2.0).version == 10


def test_the_same_content_again_is_a_no_op(publish_version: Publish) -> None:
    """The same file under its number, or as the newest version, changes nothing."""
    first = publish_version("m")
    before = (first.directory / "manifest.json").read_bytes()
    for version in (None, 1):
        again = publish_version("m", version=version)
        assert (again.version, again.created, again.digest) == (1, False, first.digest)
    assert (first.directory / "manifest.json").read_bytes() == before
    assert visible(first.directory.parent) == {"1", "model.toml"}


def test_a_published_version_never_changes(publish_version: Publish) -> None:
    """Other content under a taken number is refused and the version stays as it was."""
    first = publish_version("m", version=3)
    before = (first.directory / "manifest.json").read_bytes()
    with pytest.raises(VersionExists, match="m version 3 already exists with other content"):
        publish_version("m", version=3, scale=2.0)
    assert (first.directory / "manifest.json").read_bytes() == before


@pytest.mark.parametrize("damage", [b"", b"other bytes"])
def test_a_damaged_version_is_not_the_same_content(publish_version: Publish, damage: bytes) -> None:
    """The manifest alone does not make two versions equal: the files behind it are hashed."""
    first = publish_version("m")
    (first.directory / "model.onnx").write_bytes(damage)
    with pytest.raises(VersionExists):
        publish_version("m", version=1)
    assert publish_version("m").version == 2


def test_an_older_equal_version_is_published_anew(publish_version: Publish) -> None:
    """Without a number only the newest version counts as already there, so going back is a new version."""
    publish_version("m", scale=1.0)
    publish_version("m", scale=2.0)
    assert publish_version("m", scale=1.0).version == 3


@pytest.mark.parametrize("name", ["", "..", "a/b", ".hidden", "a b", "Ä", "x" * 129])
def test_bad_names_touch_nothing(publish_version: Publish, registry_root: Path, name: str) -> None:
    """A name that cannot be one is refused before anything is written."""
    with pytest.raises(InvalidName):
        publish_version(name)
    assert list(registry_root.iterdir()) == []


def test_model_toml_of_people_is_kept(publish_version: Publish, registry_root: Path) -> None:
    """Settings that somebody has edited are never written over."""
    (registry_root / "m").mkdir()
    (registry_root / "m" / "model.toml").write_text('owner = "me"\n')
    publish_version("m")
    assert (registry_root / "m" / "model.toml").read_text() == 'owner = "me"\n'


def test_a_refused_model_leaves_nothing(tmp_path: Path, registry_root: Path) -> None:
    """Neither a version nor an empty model directory remains of what could not be opened."""
    (tmp_path / "m.onnx").write_bytes(b"no model")
    with pytest.raises(ConversionError, match="not an ONNX model"):
        publish_file(tmp_path / "m.onnx", name="m", registry=registry_root)
    assert list(registry_root.iterdir()) == []


RACER = """
import sys
from pathlib import Path
from driftgate.models.publish.onnx_file import publish_file
registry, *files = map(Path, sys.argv[1:])
for path in files:
    print(publish_file(path, name="m", registry=registry).version)
"""


def test_two_publishers_never_get_one_number(
    tmp_path: Path, registry_root: Path, model_bytes: Callable[[float], bytes]
) -> None:
    """Racing processes take different numbers, and every version holds what its publisher was told."""
    races = 8
    files = [[tmp_path / f"{who}-{turn}.onnx" for turn in range(races)] for who in range(2)]
    for who, paths in enumerate(files):
        for turn, path in enumerate(paths):
            path.write_bytes(model_bytes(1 + who * races + turn))
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACER, registry_root, *paths], stdout=subprocess.PIPE, text=True
        )
        for paths in files
    ]
    taken: dict[int, Path] = {}
    for racer, paths in zip(racers, files, strict=True):
        numbers = [int(line) for line in racer.communicate(timeout=60)[0].split()]
        assert racer.returncode == 0
        assert not taken.keys() & set(numbers)
        taken |= dict(zip(numbers, paths, strict=True))
    assert sorted(taken) == list(range(1, 2 * races + 1))
    for number, path in taken.items():
        assert (registry_root / "m" / str(number) / "model.onnx").read_bytes() == path.read_bytes()


def test_two_publishers_of_one_number(tmp_path: Path, publish_version: Publish, registry_root: Path) -> None:
    """Of two that ask for the same number with other content, one is refused."""
    paths = [tmp_path / "a.onnx", tmp_path / "b.onnx"]
    for scale, path in enumerate(paths, start=1):
        path.write_bytes(linear_model(scale).SerializeToString())
    code = RACER.replace("registry=registry)", "registry=registry, version=1)")
    racers = [
        subprocess.Popen([sys.executable, "-c", code, registry_root, path], stderr=subprocess.PIPE, text=True)
        for path in paths
    ]
    errors = [racer.communicate(timeout=60)[1] for racer in racers]
    assert sorted(racer.returncode for racer in racers) == [0, 1]
    assert any("VersionExists" in error for error in errors)
    verify_version(registry_root / "m" / "1")


def test_a_killed_publisher_leaves_nothing_visible(
    tmp_path: Path, registry_root: Path, publish_version: Publish
) -> None:
    """kill -9 in the middle leaves a hidden directory, which a later publisher clears away once it is old."""
    weights = helper.make_tensor("w", TensorProto.FLOAT, [4, 2_000_000], bytes(32_000_000), raw=True)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "large",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 2_000_000])],
        [weights],
    )
    large = tmp_path / "large.onnx"
    large.write_bytes(helper.make_model(graph, opset_imports=OPSET, ir_version=8).SerializeToString())
    publisher = subprocess.Popen([sys.executable, "-c", RACER, registry_root, large])
    deadline = time.monotonic() + 30
    while not list(registry_root.glob("m/.tmp-*/model.onnx")) and time.monotonic() < deadline:
        time.sleep(0.001)
    publisher.send_signal(signal.SIGKILL)
    publisher.wait(timeout=30)
    (left,) = registry_root.glob("m/.tmp-*")
    assert visible(registry_root / "m") <= {"model.toml"}

    assert publish_version("m").version == 1
    assert left.exists()
    os.utime(left, (0, 0))
    publish_version("m", scale=2.0)
    assert not left.exists()


def test_external_weights_are_published_too(tmp_path: Path, registry_root: Path) -> None:
    """Weights beside the model are copied, listed and hashed like every file."""
    path = tmp_path / "m.onnx"
    onnx.save_model(linear_model(2.0), path, save_as_external_data=True, location="w.bin", size_threshold=0)
    published = publish_file(path, name="m", registry=registry_root)
    assert "w.bin" in {entry.path for entry in published.manifest.files}
    _, outputs = load_examples(published.directory / "examples.npz")
    verify_version(published.directory)
    assert outputs["y"].shape == (8, 1)


def test_external_weights_elsewhere_are_refused(tmp_path: Path, registry_root: Path) -> None:
    """A model that reads a file outside its directory is refused, and the place is named."""
    model = linear_model(2.0)
    path = tmp_path / "m.onnx"
    onnx.save_model(model, path, save_as_external_data=True, location="w.bin", size_threshold=0)
    path.write_bytes(path.read_bytes().replace(b"w.bin", b"/etc/"[:5]))
    with pytest.raises(ConversionError, match="'/etc/', outside its own directory"):
        publish_file(path, name="m", registry=registry_root)


def test_a_bare_file_warns_of_what_is_missing(publish_version: Publish) -> None:
    """Unknown columns, unknown roles and made-up rows are each named, with the option that cures them."""
    warnings = " ".join(publish_version("m").warnings)
    for cure in ("--columns", "--task", "--examples"):
        assert cure in warnings


def test_made_up_rows_cover_every_kind_of_input(tmp_path: Path, registry_root: Path) -> None:
    """Without examples, rows are made from the signature: numbers, integers, booleans and text."""
    (tmp_path / "m.onnx").write_bytes(mixed_model().SerializeToString())
    published = publish_file(tmp_path / "m.onnx", name="m", registry=registry_root)
    inputs, outputs = load_examples(published.directory / "examples.npz")
    assert {name: array.dtype.kind for name, array in inputs.items()} == {
        "number": "f",
        "count": "i",
        "flag": "b",
        "text": "O",
    }
    np.testing.assert_array_equal(outputs["same_text"], inputs["text"])
    assert published.manifest.independent_rows


def _graph(node: onnx.NodeProto, rows: int | None) -> bytes:
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [rows, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [rows, 4])],
    )
    return bytes(helper.make_model(graph, opset_imports=OPSET, ir_version=8).SerializeToString())


@pytest.mark.parametrize(
    ("model", "independent"),
    [
        (_graph(helper.make_node("Softmax", ["x"], ["y"], axis=1), None), True),
        (_graph(helper.make_node("Softmax", ["x"], ["y"], axis=0), None), False),
        (_graph(helper.make_node("Softmax", ["x"], ["y"], axis=1), 2), False),
    ],
    ids=["per row", "over the batch", "fixed batch"],
)
def test_row_independence_is_measured(
    tmp_path: Path, registry_root: Path, model: bytes, independent: bool
) -> None:
    """Rows may share a batch only if each alone gets the answer that it gets in company."""
    (tmp_path / "m.onnx").write_bytes(model)
    published = publish_file(tmp_path / "m.onnx", name="m", registry=registry_root)
    assert published.manifest.independent_rows is independent


@pytest.mark.parametrize(
    ("examples", "match"),
    [
        ({"z": np.zeros((2, 4), np.float32)}, "'z' is no input"),
        ({}, "input 'x' is missing"),
        ({"x": np.zeros((2, 5), np.float32)}, r"shape \[2, 5\]"),
        ({"x": np.array([["a"] * 4])}, "'x' is <U1"),
        ({"x": np.zeros((0, 4), np.float32)}, "no rows"),
    ],
)
def test_examples_that_do_not_fit(
    tmp_path: Path, registry_root: Path, examples: dict[str, np.ndarray], match: str
) -> None:
    """Examples are checked against the signature, and the input is named."""
    (tmp_path / "m.onnx").write_bytes(linear_model(1.0).SerializeToString())
    with pytest.raises(InvalidInput, match=match):
        publish_file(tmp_path / "m.onnx", name="m", registry=registry_root, examples=examples)


def test_columns_that_contradict_the_graph_are_refused(tmp_path: Path, registry_root: Path) -> None:
    """A manifest whose parts contradict each other is never written."""
    (tmp_path / "m.onnx").write_bytes(linear_model(1.0).SerializeToString())
    columns = (Column("a", "nothing", "FP32"),)
    with pytest.raises(InvalidManifest, match="'a' belongs to input 'nothing'"):
        publish_file(tmp_path / "m.onnx", name="m", registry=registry_root, columns=columns)


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


def test_publishing_a_file_is_light() -> None:
    """The server publishes the file that it was given without pandas, scikit-learn or onnx."""
    code = "import sys, driftgate.models.publish.onnx_file; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not {"pandas", "sklearn", "onnx", "skl2onnx", "pyarrow"} & set(loaded.split())
