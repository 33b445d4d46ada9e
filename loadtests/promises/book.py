"""All proofs by the name of their promise."""

from collections.abc import Callable
from typing import NamedTuple

from loadtests.promises import changes, kills, overload, patience, records, registry, stops, swaps
from loadtests.promises.verdict import Verdict


class Proof(NamedTuple):
    """How a promise is shown; `prove` takes the fraction of the full size."""

    promise: str
    prove: Callable[[float], list[Verdict]]


PROOFS = {
    "R1": Proof("a swap is invisible", swaps.invisible),
    "R2": Proof("all workers switch together", swaps.together),
    "R3": Proof("a bad version never replaces a good one", registry.never_bad),
    "R4": Proof("a half-copied version is never loaded", registry.never_half),
    "R5": Proof("the registry vanishes, serving goes on", registry.vanishing),
    "R7": Proof("kill -9 of a worker loses only what it had in flight", kills.only_in_flight),
    "R9": Proof("a hung worker is replaced", kills.hung_is_replaced),
    "R10": Proof("the supervisor dies, no orphans", kills.no_orphans),
    "R11": Proof("SIGTERM drains", stops.drains),
    "R12": Proof("overload degrades, never collapses", overload.degrades),
    "R13": Proof("deadlines are honoured", patience.deadlines),
    "LOG": Proof("what was answered is recorded, and counted once", records.all_recorded),
    "CHANGES": Proof(
        "kills between the steps of 10,000 changes leave a committed state", changes.committed_only
    ),
    "R15": Proof("slow clients cannot starve others", patience.slow_clients),
}
