"""Whatever a column turns to, each row is in one cell; references made in parts are those of the whole."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from driftgate.monitoring.log.columns import Texts, texts_of_list
from driftgate.monitoring.reference.profile import decode_profile, encode_profile
from driftgate.monitoring.reference.sample import ReferenceSample, row_priorities
from driftgate.monitoring.windows.cell_coder import CellCoder
from driftgate.monitoring.windows.cells import NumericCells
from driftgate.monitoring.windows.observed import Observed
from driftgate.monitoring.windows.pane import Pane
from driftgate.monitoring.windows.pane_codec import decode_pane, encode_pane
from driftgate.monitoring.windows.pane_fold import PaneFold

BIG = np.float64(1e308)


def columns(*values: Any) -> Sequence[Observed]:
    """Columns x0, x1 and so on."""
    return [
        Observed(f"x{place}", "input", texts_of_list(one) if isinstance(one, list) else np.asarray(one))
        for place, one in enumerate(values)
    ]


@pytest.mark.parametrize(
    ("reference", "window"),
    [
        (np.ones(50, np.float32), np.ones(50, np.float32)),
        (np.full(50, np.nan, np.float32), np.arange(50, dtype=np.float32)),
        (np.arange(50, dtype=np.float32), np.full(50, np.nan, np.float32)),
        (np.arange(50, dtype=np.float32), np.full(50, np.inf, np.float32)),
        (np.arange(50, dtype=np.float32), np.full(50, -np.inf, np.float32)),
        (np.arange(50, dtype=np.float64), np.full(50, BIG)),
        (np.full(50, BIG), np.full(50, -BIG)),
        (np.arange(50, dtype=np.float32), np.full(50, -999, np.float32)),
        (np.arange(50, dtype=np.float32), np.zeros(0, np.float32)),
        (np.arange(1, dtype=np.float32), np.arange(1, dtype=np.float32)),
        (np.zeros(0, np.float32), np.arange(5, dtype=np.float32)),
        (np.arange(50), np.array([2**63 - 1, -(2**63), 0])),
        (np.arange(50) % 2 == 0, np.array([True] * 9)),
        (np.arange(50, dtype=np.float32), ["1", "two", ""]),
        (["a", "b", "a"], np.arange(3, dtype=np.float32)),
        (["a", "b", "a"], ["c", "", "a" * 5000]),
        (["a\u2028\r\n", "\x00", "é"], ["\x1b[31m", "a\u2028\r\n", "\udcff"]),
    ],
)
def test_any_column_is_counted_whole(reference: Any, window: Any) -> None:
    """Whatever a column turns to, every row is in exactly one cell and every figure is defined."""
    sample = ReferenceSample()
    sample.update(columns(reference), row_priorities(0, len(reference)))
    profile = decode_profile(encode_profile(sample.get("training")))
    assert profile.features[0].rows == len(reference)
    fold = PaneFold(profile)
    pane = Pane.empty(fold.shape)
    fold.update(pane, CellCoder(profile).code(columns(window) if len(window) else [], len(window)))
    assert pane.counts.sum() == pane.rows == len(window)
    assert np.isfinite(pane.sums).all()
    assert np.isfinite(pane.squares).all()
    again = decode_pane(encode_pane(pane, sealed=False))
    assert (again.counts.tolist(), again.rows) == (pane.counts.tolist(), pane.rows)


def test_atoms_sentinels_and_infinities_have_their_own_cells() -> None:
    """A value that is a sixteenth of the reference has a cell; what the reference never had is outside."""
    values = np.concatenate([np.zeros(50), np.linspace(1, 2, 50)]).astype(np.float32)
    sample = ReferenceSample()
    sample.update(columns(values), row_priorities(0, 100))
    (feature, _) = sample.get("training").features
    cells = feature.cells
    assert isinstance(cells, NumericCells)
    assert dict(zip(cells.names, feature.counts, strict=True))["= 0"] == 50
    assert feature.counts[cells.NULL] == feature.counts[cells.BELOW] == feature.counts[cells.above] == 0


def test_samples_merge_to_the_sample_of_the_whole() -> None:
    """A reference made in parts, in any order, is the one made at once."""
    values = np.random.default_rng(1).normal(size=300).astype(np.float32)
    texts = [f"t{number % 7}" for number in range(300)]

    def part(start: int, stop: int) -> ReferenceSample:
        sample = ReferenceSample()
        sample.update(columns(values[start:stop], texts[start:stop]), row_priorities(start, stop - start))
        return sample

    whole, parts = part(0, 300), part(200, 300)
    parts.merge(part(0, 120))
    parts.merge(part(120, 200))
    assert encode_profile(parts.get("training")) == encode_profile(whole.get("training"))
    assert isinstance(columns(texts)[0].values, Texts)
