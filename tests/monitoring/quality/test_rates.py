"""Bad data is counted by reason and feature, and evidence comes soon where there is more than before."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftgate.monitoring.log.columns import texts_of_list
from driftgate.monitoring.quality.rates import QualityRate, QualityRates, QualityWatch
from driftgate.monitoring.reference.profile import ReferenceProfile
from driftgate.monitoring.reference.sample import ReferenceSample, row_priorities
from driftgate.monitoring.windows.cell_coder import CellCoder
from driftgate.monitoring.windows.observed import Observed
from driftgate.monitoring.windows.pane import PANE_US, Pane
from driftgate.monitoring.windows.pane_fold import PaneFold
from driftgate.monitoring.windows.pane_quality import MOST_HASHES, RepeatSample
from driftgate.monitoring.windows.space_saving import SpaceSaving

ROWS = 400
RNG = np.random.default_rng(3)


def columns(ages: Any, cities: Any) -> list[Observed]:
    """Rows of an age and a city."""
    values = texts_of_list(ages) if isinstance(ages, list) else np.asarray(ages, np.float32)
    return [Observed("age", "input", values), Observed("city", "input", texts_of_list(cities))]


def ages(rows: int = ROWS) -> Any:
    """Ages as the reference has them."""
    return RNG.integers(18, 90, rows).astype(np.float32)


def cities(rows: int = ROWS) -> list[str]:
    """Cities as the reference has them."""
    return list(RNG.choice(["Lyon", "Nice", "Paris"], rows))


def reference(source: Any = "training") -> ReferenceProfile:
    """A profile of 5,000 such rows; one without data of the same columns."""
    rows = 5000 if source == "training" else 0
    sample = ReferenceSample()
    sample.update(columns(ages(rows), cities(rows)), row_priorities(0, rows))
    return sample.get(source)


PROFILE = reference()
BARE = reference("none")


def window(profile: ReferenceProfile, some: list[Observed]) -> Pane:
    """A pane of some rows."""
    fold, coder = PaneFold(profile), CellCoder(profile)
    pane = Pane.empty(fold.shape)
    coded = coder.code(some, ROWS)
    fold.update(pane, coded)
    pane.quality.repeats.update(coded.row_hashes)
    pane.quality.count_codes(np.full(ROWS, 200))
    return pane


def evidence(profile: ReferenceProfile, windows: list[Pane]) -> dict[QualityRate, float]:
    """The evidence for each rate after some windows."""
    rates = QualityRates(profile)
    watch = QualityWatch(rates)
    for number, pane in enumerate(windows):
        watch.update(pane, number * PANE_US)
    return dict(zip(rates.rates, watch.evidence().tolist(), strict=True))


def spoilt(share: float, value: float) -> Any:
    """Ages of which a share is another value."""
    found = ages()
    found[: int(share * ROWS)] = value
    return found


@pytest.mark.parametrize("profile", [PROFILE, BARE], ids=["reference", "bare"])
@pytest.mark.parametrize(
    ("some", "expected"),
    [
        (lambda: columns(spoilt(0.1, np.nan), cities()), QualityRate("null", "age")),
        (lambda: columns(spoilt(0.1, np.inf), cities()), QualityRate("infinite", "age")),
        (lambda: columns(["many"] * ROWS, cities()), QualityRate("type_error", "age")),
        (lambda: columns(ages(), [""] * 40 + cities(ROWS - 40)), QualityRate("null", "city")),
    ],
)
def test_bad_data_is_named_with_or_without_a_reference(
    profile: ReferenceProfile, some: Any, expected: QualityRate
) -> None:
    """After three windows with a tenth of bad values the evidence for that rate is beyond doubt."""
    found = evidence(profile, [window(profile, some()) for _ in range(3)])
    assert found[expected] > 1e6


@pytest.mark.parametrize(
    ("some", "expected"),
    [
        (lambda: columns(spoilt(0.02, -999.0), cities()), QualityRate("out_of_range", "age")),
        (lambda: columns(ages(), ["Lille"] * 8 + cities(ROWS - 8)), QualityRate("new_value", "city")),
        (lambda: columns(np.full(ROWS, 40), cities()), QualityRate("constant", "age")),
    ],
)
def test_what_the_reference_does_not_have_is_named(some: Any, expected: QualityRate) -> None:
    """A sentinel, a new value and a feature that stands still are found against a reference, and only so."""
    found = evidence(PROFILE, [window(PROFILE, some()) for _ in range(4)])
    assert found[expected] > 1e4
    assert found.get(QualityRate("null", "age"), 0.0) < 100
    bare = evidence(BARE, [window(BARE, some()) for _ in range(4)])
    assert not bare.get(expected, 0.0) > 1e4


def test_good_windows_are_no_evidence() -> None:
    """Rows like the reference's give no evidence that would matter over many windows."""
    found = evidence(PROFILE, [window(PROFILE, columns(ages(), cities())) for _ in range(60)])
    assert max(value for value in found.values() if not np.isnan(value)) < 1000


def test_repeats_are_bad_where_the_reference_has_none() -> None:
    """Rows that come twenty times are found where reference rows are distinct, and not where they are not."""

    def rows(some: Any) -> list[Observed]:
        return [Observed("amount", "input", some.astype(np.float32))]

    distinct, few = RNG.normal(size=5000), RNG.integers(0, 9, 5000)
    repeated = np.tile(RNG.normal(size=ROWS // 20), 20)
    for known, beyond_doubt in ((distinct, True), (few, False)):
        sample = ReferenceSample()
        sample.update(rows(known), row_priorities(0, 5000))
        profile = sample.get("training")
        found = evidence(profile, [window(profile, rows(repeated)) for _ in range(3)])
        assert (found[QualityRate("repeated", "")] > 1e6) is beyond_doubt


@given(st.lists(st.integers(0, 2000), max_size=1500), st.integers(0, 1500))
def test_repeats_are_the_same_however_rows_are_split(values: list[int], cut: int) -> None:
    """The sample of hashes depends on the rows alone; up to its size it counts every repeat."""
    rows = np.array(values, np.uint64)
    whole, first, second = RepeatSample(), RepeatSample(), RepeatSample()
    whole.update(rows)
    first.update(rows[cut:])
    second.update(rows[:cut])
    first.merge(second)
    assert first.rows_by_hash == whole.rows_by_hash
    if len(set(values)) <= MOST_HASHES:
        assert (whole.rows, whole.distinct) == (len(values), len(set(values)))


@given(st.lists(st.sampled_from("abcdefghijklmnop"), max_size=300), st.integers(1, 20))
def test_space_saving_keeps_its_promises(values: list[str], capacity: int) -> None:
    """Counts are exact while values fit, else too high by at most their error; frequent ones are there."""
    counter = SpaceSaving(capacity)
    for value in values:
        counter.update({value: 1})
    found = {one.value: one for one in counter.get()}
    assert len(found) <= capacity
    for value in set(values):
        true = values.count(value)
        if true > len(values) / capacity:
            assert value in found
        if value in found:
            assert true <= found[value].count <= true + found[value].error
