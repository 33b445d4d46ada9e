"""Skew over all slots, and what a key in a query means."""

from pathlib import Path

import pytest

from driftgate.features.lookup.skew import FeatureSkew
from driftgate.features.views.keys import EntityKey
from driftgate.features.views.view import Feature, FeatureView, JoinKey
from driftgate.gateway.admin.feature_documents import SkewAnswer
from driftgate.gateway.admin.feature_report import parsed_key
from driftgate.gateway.admin.feature_skew import skew_of
from driftgate.gateway.layout import StateLayout
from driftgate.gateway.state.skew_counters import SkewCounters, SkewKey

TWO_KEYS = FeatureView("v", (JoinKey("user"), JoinKey("shop", "int64")), (Feature("x", "float32"),))


def test_slots_add_up(tmp_path: Path) -> None:
    """Counts of all slots are one report, in all and by version; other views are not in it."""
    layout = StateLayout(tmp_path)
    for slot in (0, 1):
        layout.slot(slot).mkdir(parents=True)
        counters = SkewCounters(layout.slot(slot))
        counters.add(SkewKey("m", "2", "users", "spend"), FeatureSkew(compared=10, mismatched=slot))
        counters.add(SkewKey("m", "10", "users", "spend"), FeatureSkew(compared=20))
        counters.add(SkewKey("m", "2", "other", "spend"), FeatureSkew(compared=10, mismatched=10))
        counters.add(SkewKey("n", "1", "users", "spend"), FeatureSkew())
    answer = skew_of(layout, "users")
    (row,) = answer.features
    assert (row.feature, row.rows, row.mismatch_rate) == ("spend", 60, 1 / 60)
    assert [(one.model, one.version, one.features[0].mismatch_rate) for one in answer.versions] == [
        ("m", 2, 0.05),
        ("m", 10, 0.0),
    ]
    assert skew_of(layout, "nobody") == SkewAnswer("nobody", ())


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("ada", ("ada",)),
        ('["ada","7"]', ("ada", 7)),
        ('["ada","-7"]', ("ada", -7)),
        ('["ada","7x"]', ("ada", "7x")),
        ('["7","7"]', ("7", 7)),
        ("[ada", ("[ada",)),
    ],
)
def test_a_key_is_a_text_or_a_list(text: str, key: EntityKey) -> None:
    """Texts become numbers where the view has numbers; what is no list is the one key itself."""
    assert parsed_key(TWO_KEYS, text) == key
