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
    write_views,
)

VIEW = FeatureView("users", (JoinKey("user"),), (Feature("age", "float32"),))


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
