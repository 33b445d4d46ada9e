"""Skew over all slots, and what a key in a query means."""

from pathlib import Path

import pytest

from driftgate.features.lookup.skew import FeatureSkew
from driftgate.features.views.keys import EntityKey
from driftgate.features.views.view import Feature, FeatureView, JoinKey
from driftgate.gateway.admin.feature_report import parsed_key
from driftgate.gateway.admin.feature_skew import skew_of
from driftgate.gateway.layout import StateLayout
from driftgate.gateway.state.feature_counters import FeatureCounters

TWO_KEYS = FeatureView("v", (JoinKey("user"), JoinKey("shop", "int64")), (Feature("x", "float32"),))


def test_slots_add_up(tmp_path: Path) -> None:
    """Counts of all slots are one report; other views and features that nobody sent are not in it."""
    layout = StateLayout(tmp_path)
    for slot in (0, 1):
        layout.slot(slot).mkdir(parents=True)
        counters = FeatureCounters(layout.feature_counters(slot))
        counters.compared("users", "spend", FeatureSkew(compared=10, mismatched=slot))
        counters.compared("other", "spend", FeatureSkew(compared=10, mismatched=10))
    (row,) = skew_of(layout, "users")
    assert (row.feature, row.rows, row.mismatch_rate) == ("spend", 20, 0.05)
    assert skew_of(layout, "nobody") == ()


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
