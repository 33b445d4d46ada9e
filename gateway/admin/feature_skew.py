"""How what clients send of stored features compares with what is stored, over all slots."""

from contextlib import suppress

from driftgate.features.lookup.skew import FeatureSkew, SkewRow, skew_report
from driftgate.gateway.layout import StateLayout
from driftgate.gateway.state.feature_counters import LAYOUT, SKEW_CELLS, SKEW_RESULTS
from driftgate.gateway.state.integer_blocks import UnreadableBlocks, read_blocks
from driftgate.gateway.state.slots import slot_numbers


def skew_of(layout: StateLayout, view: str) -> tuple[SkewRow, ...]:
    """Return a row for each feature of a view that clients sent, the worst first."""
    found: dict[str, FeatureSkew] = {}
    for slot in slot_numbers(layout):
        with suppress(UnreadableBlocks):
            for names, cells in read_blocks(layout.feature_counters(slot), LAYOUT):
                if names[0] == view and names[1]:
                    counts = cells[SKEW_CELLS : SKEW_CELLS + len(SKEW_RESULTS)]
                    counted = FeatureSkew(**dict(zip(SKEW_RESULTS, counts, strict=True)))
                    found[names[1]] = found.get(names[1], FeatureSkew()) + counted
    return skew_report(found.items())
