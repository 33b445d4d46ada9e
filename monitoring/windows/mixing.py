"""Numbers that look random and depend on the numbers they are made of alone. Pure."""

import numpy as np

from driftgate.monitoring.log.record import Array


def mixed(values: Array) -> Array:
    """Return uint64 of uint64, one to one (the finalizer of splitmix64: Steele, Lea and Flood, 2014)."""
    found = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    found = (found ^ (found >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(found ^ (found >> np.uint64(31)))
