"""The feature views that workers are told of: followed as they change, refused where they cannot be read."""

from pathlib import Path

import pytest

from driftgate.features.views.view import Feature, FeatureView, JoinKey
from driftgate.gateway.state.feature_views import (
    KnownViews,
    UnreadableViews,
    ViewsFile,
    decode_views,
    encode_views,
    missing_features,
    unfit_features,
    write_views,
)
from driftgate.models.schema.binding import BoundFeature, BoundKey, BoundView, FeatureBinding
from driftgate.models.schema.manifest import Column, Manifest
from driftgate.models.schema.signature import TensorSpec

from harness.manifests import paper_manifest

WIDE = FeatureView("users", (JoinKey("user"),), (Feature("age", "float32", length=3),))
VIEW = FeatureView("users", (JoinKey("user"),), (Feature("age", "float32", on_missing="error"),))


def test_views_are_followed(tmp_path: Path) -> None:
    """A change is taken up once; a damaged file is told once and changes nothing."""
    file = ViewsFile(tmp_path / "views.json")
    assert not file.look()
    write_views(tmp_path / "views.json", KnownViews({"users": VIEW}, {"other": "line 3: no"}))
    assert file.look()
    assert not file.look()
    assert file.known.views == {"users": VIEW}
    assert file.known.missing("other") == "the feature view 'other' is not declared soundly: line 3: no"
    (tmp_path / "views.json").write_bytes(b"{}")
    with pytest.raises(UnreadableViews):
        file.look()
    assert not file.look()
    assert file.known.views == {"users": VIEW}


def test_newer_views_are_refused() -> None:
    """A file of views of format 2 is refused with both numbers."""
    data = encode_views(KnownViews({"users": VIEW}))
    assert decode_views(data).views == {"users": VIEW}
    with pytest.raises(UnreadableViews, match="have format 2; this Driftgate reads 1"):
        decode_views(data.replace(b'"format":1', b'"format":2,"new":[]', 1))


def bound_to(view: str, columns: int = 2) -> Manifest:
    """Return a version of an input of two columns, of which so many are named; `age` fills the first."""
    bound = BoundView(view, {"user": "user"}, (BoundFeature("age", ("a",)),))
    return paper_manifest(
        inputs=(TensorSpec("x", "FP32", (-1, 2)),),
        columns=tuple(Column(name, "x", "FP32", index=place) for place, name in enumerate("ab"[:columns])),
        features=FeatureBinding((BoundKey("user"),), (bound,)),
    )


@pytest.mark.parametrize(
    ("manifest", "view", "unfit", "missing"),
    [
        (bound_to("users"), VIEW, None, "no rows"),
        (bound_to("other"), VIEW, None, "the feature view 'other' is not declared"),
        (bound_to("users"), WIDE, "feature 'age' of view 'users' has 3 values", "has 3 values"),
        (bound_to("users", columns=1), VIEW, "do not fit the model: column 'a'", "do not fit the model"),
        (paper_manifest(), VIEW, None, None),
    ],
)
def test_a_version_is_held_against_its_model_and_views(
    manifest: Manifest, view: FeatureView, unfit: str | None, missing: str | None
) -> None:
    """What contradicts is told from what may come yet; a manifest may contradict itself."""
    known = KnownViews({"users": view})
    for found, wanted in (
        (unfit_features(manifest, known), unfit),
        (missing_features(manifest, known, lambda view: "no rows"), missing),
    ):
        assert (found is None) == (wanted is None)
        assert (wanted or "") in (found or "")
