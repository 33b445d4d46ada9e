"""What is counted of features that requests send although they are stored."""

from pathlib import Path

from driftgate.features.lookup.skew import FeatureSkew
from driftgate.gateway.state.skew_counters import SkewCounters, SkewKey, read_skew

AGE = SkewKey("m", "3", "users", "age/years")


def test_counts_add_up_over_restarts_and_slots(tmp_path: Path) -> None:
    """What a slot counted before it began anew stays; slots are added; damaged files count nothing."""
    slots = [tmp_path / name for name in "abc"]
    for slot in slots:
        slot.mkdir()
    for _ in range(2):
        SkewCounters(slots[0]).add(AGE, FeatureSkew(1, 2, 3, 4, 5))
    SkewCounters(slots[1]).add(AGE, FeatureSkew(compared=8))
    SkewCounters(slots[1]).add(AGE._replace(version="4"), FeatureSkew(extra=1))
    (slots[2] / "skew.counts").write_bytes(b"?")
    assert read_skew(slots) == {
        AGE: FeatureSkew(10, 4, 6, 8, 10),
        AGE._replace(version="4"): FeatureSkew(extra=1),
    }


def test_nothing_sent_costs_nothing(tmp_path: Path) -> None:
    """Without a comparison there is no file."""
    SkewCounters(tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert read_skew([tmp_path]) == {}


def test_the_number_of_series_is_bounded(tmp_path: Path) -> None:
    """However many versions come and go, names are few; what has no room is counted without them."""
    counters = SkewCounters(tmp_path)
    for version in range(1500):
        counters.add(AGE._replace(version=str(version)), FeatureSkew(compared=1))
    counters.add(AGE._replace(model="m" * 600), FeatureSkew(missing=1))
    found = read_skew([tmp_path])
    assert len(found) == 1024
    assert found[SkewKey("", "", "", "")] == FeatureSkew(compared=1500 - 1023, missing=1)


def test_without_room_for_the_file_nothing_fails(tmp_path: Path) -> None:
    """Rows that cannot be counted cost no prediction, and those that come once there is room are counted."""
    counters = SkewCounters(tmp_path / "later")
    counters.add(AGE, FeatureSkew(compared=1))
    (tmp_path / "later").mkdir()
    counters.add(AGE, FeatureSkew(compared=2))
    assert read_skew([tmp_path / "later"]) == {AGE: FeatureSkew(compared=2)}
