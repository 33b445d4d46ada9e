"""One row for each entity and window, where rows of one entity follow from each other. Pure.

Rows of one session are not independent given the past, so counting all of them would overstate evidence.
Which row is kept depends on the rows alone, not on the order in which workers wrote them.
"""

import numpy as np

from driftgate.monitoring.log.record import Array


def one_row_per_entity(entities: Array, order: Array) -> Array:
    """Return bool[rows]: of each entity the row that is lowest in `order`, such as its prediction id.

    `entities` and `order` are arrays of the rows of one window; among equals the first is kept.
    """
    ordered = np.lexsort((order, entities))
    sorted_entities = entities[ordered]
    first = np.ones(len(entities), bool)
    first[1:] = sorted_entities[1:] != sorted_entities[:-1]
    kept = np.zeros(len(entities), bool)
    kept[ordered[first]] = True
    return kept
