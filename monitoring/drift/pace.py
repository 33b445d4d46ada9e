"""How soon a shift would be found, for people who read that none was. Pure."""

import numpy as np

from driftgate.monitoring.drift.bets import Bets, bets_against
from driftgate.monitoring.drift.power import capital_needed, rows_to_find, shifted
from driftgate.monitoring.reference.band import reference_band
from driftgate.monitoring.reference.profile import ReferenceProfile
from driftgate.monitoring.windows.cells import NumericCells

TYPICAL_SIGMA = 0.5
MOST_FEATURES = 15
"""That a typical one is looked for among."""


def rows_to_find_shift(profile: ReferenceProfile, target: float, tolerance: float = 0.0) -> int | None:
    """Return after how many rows a shift by TYPICAL_SIGMA of a typical number is found, on average.

    None: never, or there is no number. Judged by the reference alone.
    """
    numbers = [
        place
        for place, one in enumerate(profile.features)
        if isinstance(one.cells, NumericCells) and one.rows and one.role != "latency"
    ]
    if not numbers:
        return None
    offsets = profile.offsets()
    band = reference_band(profile.counts(), offsets, tolerance)
    bets = bets_against(band)
    judged = sum(one.rows > 0 for one in profile.features)
    found = []
    for place in numbers[:MOST_FEATURES]:
        cells = profile.features[place].cells
        part = slice(int(offsets[place]), int(offsets[place + 1]))
        own = Bets(*(getattr(bets, name)[part] for name in Bets.__dataclass_fields__))
        if isinstance(cells, NumericCells):
            shares = shifted(band.share[part], cells.BELOW, cells.above + 1, TYPICAL_SIGMA)
            capital = capital_needed(target, judged, int(own.open.sum()))
            found.append(rows_to_find(own, shares, capital))
    middle = float(np.median(found))
    return int(np.ceil(middle)) if np.isfinite(middle) else None
