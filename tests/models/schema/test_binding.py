from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from driftgate.models.errors import InvalidManifest
from driftgate.models.schema.bind import bind
from driftgate.models.schema.binding import BoundFeature, BoundKey, BoundView, FeatureBinding, KeyType
from driftgate.models.schema.client_manifest import client_manifest, optional_inputs
from driftgate.models.schema.manifest import Column, Manifest, decode_manifest, encode_manifest
from driftgate.models.schema.signature import TensorSpec
from driftgate.models.schema.stated_binding import read_binding, stated_binding

from harness.manifests import paper_manifest

BINDING = """\
[[views]]
view = "plane"
keys = { tailnum = "tailnum" }
features = ["year", "engine"]
overridable = ["year"]

[[views]]
view = "weather"
[views.keys]
airport = "origin"
[views.features]
temp = "dest_temp"
wind = ["w0", "w1"]

[keys.tailnum]
type = "string"
example = "N14228"
"""


@dataclass(frozen=True)
class Key:
    name: str
    dtype: KeyType = "string"


@dataclass(frozen=True)
class Feature:
    name: str
    dtype: str = "float32"
    length: int = 1
    on_missing: str = "default"
    on_stale: str = "default"


@dataclass(frozen=True)
class View:
    name: str
    join_keys: tuple[Key, ...]
    features: tuple[Feature, ...]


PLANE = View("plane", (Key("tailnum"),), (Feature("year"), Feature("engine", "string")))
WEATHER = View("weather", (Key("airport"),), (Feature("temp"), Feature("wind", length=2)))
VIEWS = {"plane": PLANE, "weather": WEATHER}


def per_column() -> Manifest:
    """A version with an input for each column."""
    kinds = {"origin": "BYTES", "hour": "INT64", "year": "FP32", "engine": "BYTES", "dest_temp": "FP32"}
    kinds |= {"w0": "FP32", "w1": "FP32"}
    return paper_manifest(
        inputs=tuple(TensorSpec(name, kind, (-1, 1)) for name, kind in kinds.items()),
        columns=tuple(Column(name, name, kind) for name, kind in kinds.items()),
    )


def matrix() -> Manifest:
    """A version with one matrix of five floats, of which a to e are the names."""
    return paper_manifest(
        inputs=(TensorSpec("x", "FP32", (-1, 5)),),
        columns=tuple(Column(name, "x", "FP32", index=place) for place, name in enumerate("abcde")),
    )


def binding_of(*columns: str, overridable: bool = False, key: BoundKey | None = None) -> FeatureBinding:
    key = key or BoundKey("user")
    bound = tuple(BoundFeature(name, (name,), overridable) for name in columns)
    return FeatureBinding((key,), (BoundView("v", {"user": key.name}, bound),))


def test_a_file_says_what_the_manifest_then_holds(tmp_path: Path) -> None:
    """A binding file becomes views with their keys and columns, and keys in the order of their use."""
    path = tmp_path / "binding.toml"
    path.write_text(BINDING)
    bound = bind(read_binding(path), per_column(), VIEWS).features
    assert bound is not None
    assert [key.name for key in bound.keys] == ["tailnum", "origin"]
    assert bound.keys[0].example == "N14228"
    assert bound.views[1].features == (
        BoundFeature("temp", ("dest_temp",)),
        BoundFeature("wind", ("w0", "w1")),
    )
    assert bound.overridable == {"year"}


def test_the_manifest_keeps_its_features() -> None:
    """A bound manifest has format 2 and is read back as it was; without features it keeps format 1."""
    bound = bind_mapping(per_column())
    assert decode_manifest(encode_manifest(bound)) == bound
    assert bound.format == 2
    with pytest.raises(InvalidManifest, match="has format 1"):
        decode_manifest(encode_manifest(msgspec.structs.replace(bound, format=1)))


def test_clients_send_the_other_columns_and_the_keys() -> None:
    """An input per column: stored ones are gone, keys come last, a column of the request can be a key."""
    client = client_manifest(bind_mapping(per_column()))
    assert [spec.name for spec in client.signature.inputs] == ["origin", "hour", "tailnum", "year"]
    assert client.signature.input("tailnum") == TensorSpec("tailnum", "BYTES", (-1, 1))
    assert optional_inputs(bind_mapping(per_column())) == {"year"}


def test_a_matrix_keeps_the_columns_that_are_sent() -> None:
    """One matrix: it gets narrower, its columns stay in their order, and the key is an input beside it."""
    bound = bind(stated(binding_of("b", "d", key=BoundKey("user", "int64"))), matrix())
    client = client_manifest(bound)
    assert client.signature.inputs == (TensorSpec("x", "FP32", (-1, 3)), TensorSpec("user", "INT64", (-1, 1)))
    assert [(c.name, c.index) for c in client.columns] == [("a", 0), ("c", 1), ("e", 2), ("user", None)]


def test_a_matrix_of_stored_columns_is_not_sent_at_all() -> None:
    """Prediction by key only: the key is all that is left."""
    client = client_manifest(bind(stated(binding_of(*"abcde")), matrix()))
    assert [spec.name for spec in client.signature.inputs] == ["user"]


def test_a_version_without_features_is_what_clients_see() -> None:
    """Without a binding nothing changes."""
    assert client_manifest(matrix()) == matrix()


@pytest.mark.parametrize(
    ("change", "line", "problem"),
    [
        (("engine", "engin"), 4, "column 'engin' is none of the model's"),
        (('"engine"]', '"year"]'), 4, "column 'year' is filled twice"),
        (('overridable = ["year"]', 'overridable = ["temp"]'), 5, "'temp' is none of the features"),
        (("features = [", "featured = ["), 4, "unknown field"),
        (('view = "weather"', 'view = "wether"'), 8, "view 'wether' is not declared"),
        (("temp =", "tempo ="), 12, "view 'weather' has no feature 'tempo'"),
        (('["w0", "w1"]', '"w0"'), 13, "has 2 values, and is to fill 1 columns"),
        (('type = "string"', 'type = "text"'), 16, "Invalid enum value 'text'"),
        (('type = "string"', 'type = "int64"'), 3, "key 'tailnum' is int64, and join key 'tailnum'"),
        (("airport =", "airfield ="), 9, "has join keys"),
        (("[keys.tailnum]", "[keys.tail]"), 15, "key 'tail' finds no view"),
    ],
)
def test_an_error_names_the_line(change: tuple[str, str], line: int, problem: str, tmp_path: Path) -> None:
    """Whatever is wrong with a binding file is said with its line."""
    path = tmp_path / "binding.toml"
    path.write_text(BINDING.replace(*change, 1))
    with pytest.raises(InvalidManifest, match=f"line {line}: .*{problem}"):
        bind(read_binding(path), per_column(), VIEWS)


@pytest.mark.parametrize(
    ("binding", "problem"),
    [
        (
            binding_of("a", key=BoundKey("b")),
            "key 'b' is string, and the model's column of that name is FP32",
        ),
        (binding_of("a", key=BoundKey("x")), "key 'x' has the name of an input"),
        (binding_of("a", key=BoundKey("a")), "key 'a' is a column that a feature fills"),
        (binding_of(), "fills no column"),
        (FeatureBinding((), ()), "no view is bound"),
    ],
)
def test_a_binding_that_contradicts_the_model_is_refused(binding: FeatureBinding, problem: str) -> None:
    """Keys and columns must be told apart, and something must be filled."""
    with pytest.raises(InvalidManifest, match=problem):
        bind(stated(binding), matrix())


@pytest.mark.parametrize(
    ("feature", "problem"),
    [
        (Feature("year", "string"), "feature 'year' of view 'plane' is string, and column 'year' is FP32"),
        (
            Feature("year", on_missing="null"),
            "is null where it is missing or stale, and column 'year' may not",
        ),
    ],
)
def test_a_feature_must_fit_its_column(feature: Feature, problem: str) -> None:
    """A declared dtype or policy that the column cannot hold is refused when the version is published."""
    views = {"plane": View("plane", PLANE.join_keys, (feature, PLANE.features[1])), "weather": WEATHER}
    with pytest.raises(InvalidManifest, match=problem):
        bind_mapping(per_column(), views)


def test_a_key_takes_its_type_from_the_view() -> None:
    """A key whose type is not stated has that of the view's join key."""
    views = {"v": View("v", (Key("user", "int64"),), (Feature("a"),))}
    given: dict[str, Any] = {"views": [{"view": "v", "keys": {"user": "user"}, "features": ["a"]}]}
    found = stated_binding(given)
    assert found is not None
    bound = bind(found, matrix(), views).features
    assert bound is not None
    assert bound.keys == (BoundKey("user", "int64"),)


def stated(binding: FeatureBinding) -> Any:
    return stated_binding(binding)


def bind_mapping(manifest: Manifest, views: dict[str, View] | None = None) -> Manifest:
    given = {
        "views": [
            {
                "view": "plane",
                "keys": {"tailnum": "tailnum"},
                "features": ["year", "engine"],
                "overridable": ["year"],
            },
            {
                "view": "weather",
                "keys": {"airport": "origin"},
                "features": {"temp": "dest_temp", "wind": ["w0", "w1"]},
            },
        ]
    }
    found = stated_binding(given)
    assert found is not None
    return bind(found, manifest, views or VIEWS)


def test_features_of_a_view_that_is_bound_twice_are_told_apart() -> None:
    """The same view under two keys, such as the weather at both ends of a flight: names have their keys."""
    features = (BoundFeature("temp", ("a",)),), (BoundFeature("temp", ("b",)), BoundFeature("wind", ("c",)))
    views = [BoundView("w", {"airport": key}, own) for key, own in zip(("from", "to"), features, strict=True)]
    binding = FeatureBinding((BoundKey("from"), BoundKey("to")), tuple(views))
    assert binding.feature_names == ("w(from).temp", "w(to).temp", "w(to).wind")
    assert binding_of("a").feature_names == ("v.a",)
