"""What a reference and its traffic can show: the smallest change of each feature that is found. Pure."""

from collections.abc import Iterator

import msgspec
import numpy as np

from driftgate.monitoring.drift.bets import Bets, bets_against
from driftgate.monitoring.drift.power import Power, capital_needed, smallest_shift, smallest_turn
from driftgate.monitoring.drift.sufficiency import NotEnoughData
from driftgate.monitoring.reference.band import reference_band
from driftgate.monitoring.reference.profile import FeatureProfile, ReferenceProfile
from driftgate.monitoring.windows.cells import NumericCells

DAY_S = 86_400
MOST_FEATURES = 200
"""The first ones of a model with more: each costs milliseconds."""


class FeaturePower(msgspec.Struct, frozen=True):
    """The smallest change of a feature that is found within a day, in words, and after how many rows.

    `rows` is None where nothing is found.
    """

    name: str
    smallest: str
    rows: int | None


def powers(
    profile: ReferenceProfile, target: float, rows_per_s: float, tolerance: float = 0.0
) -> tuple[FeaturePower, ...]:
    """Return it for every feature with a reference; `target` is the evidence that notifies."""
    return tuple(_powers(profile, target, rows_per_s * DAY_S, tolerance)) if profile.rows else ()


def _powers(
    profile: ReferenceProfile, target: float, rows: float, tolerance: float
) -> Iterator[FeaturePower]:
    offsets = profile.offsets()
    band = reference_band(profile.counts(), offsets, tolerance)
    bets = bets_against(band)
    judged = sum(feature.rows > 0 for feature in profile.features)
    for place, feature in list(enumerate(profile.features))[:MOST_FEATURES]:
        if feature.rows:
            part = slice(int(offsets[place]), int(offsets[place + 1]))
            own = Bets(bets.per_hit[part], bets.per_row[part], bets.open[part])
            capital = capital_needed(target, judged, int(own.open.sum()))
            yield _power(feature, own, np.asarray(band.share[part]), capital, rows)


def _power(
    feature: FeatureProfile,
    bets: Bets,
    shares: "np.ndarray[tuple[int], np.dtype[np.float64]]",
    capital: float,
    rows: float,
) -> FeaturePower:
    cells = feature.cells
    is_number = isinstance(cells, NumericCells)
    if isinstance(cells, NumericCells):
        found = smallest_shift(bets, shares, (cells.BELOW, cells.above + 1), capital, rows)
    else:
        found = smallest_turn(bets, shares, cells.NULL, capital, rows)
    return FeaturePower(
        feature.name, _in_words(found, is_number), found.rows if isinstance(found, Power) else found.needed
    )


def _in_words(found: Power | NotEnoughData, is_number: bool) -> str:
    if isinstance(found, NotEnoughData):
        return found.reason
    return (
        f"a shift of {found.size:.2g} standard deviations"
        if is_number
        else f"{found.size:.2g} of the rows turning to one value"
    )
