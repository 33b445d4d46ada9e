"""One row of each entity and pane, for models whose rows of one entity follow from each other. Pure.

The rule kept here: which rows count depends on the rows of the pane together, not on how they are split up or
ordered, so it is the same from one worker and from four. An entity is what the record's hashed keys name.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from driftgate.monitoring.log.blocks import Block, ids_of, keys_of, numbers_of
from driftgate.monitoring.log.record import Array
from driftgate.monitoring.windows.mixing import mixed

MOST_ENTITIES = 1000
"""Of a pane: those whose hashes are smallest. Of more, evidence is about so many."""
ABSENT = 255
"""The cell of a feature that a row does not have."""


class RowKeys(NamedTuple):
    """Of rows: hashes of their entities and what says which of an entity's rows comes first; uint64[rows]."""

    entities: Array
    orders: Array

    def taken(self, rows: Array | slice) -> "RowKeys":
        """Return those of some rows."""
        return RowKeys(self.entities[rows], self.orders[rows])


class HeldRows(NamedTuple):
    """Rows with their keys: `codes` uint8[features, rows] are cells, `above` bool[paired, rows] for pairs."""

    entities: Array
    orders: Array
    codes: Array
    above: Array

    def taken(self, rows: Array) -> "HeldRows":
        """Return some of the rows."""
        return HeldRows(*(part[..., rows] for part in self))


@dataclass(slots=True)
class ThinnedRows:
    """Counts of one row of each entity, as `Pane` has them of all; `held` are the rows of an open pane."""

    rows: int
    counts: Array
    pairs: Array
    held: HeldRows

    @classmethod
    def empty(cls, cells: int, paired: int) -> "ThinnedRows":
        """Return counts of no rows."""
        return cls(0, np.zeros(cells, np.int64), np.zeros((paired, paired), np.int64), no_rows(0, paired))

    def update(self, batch: HeldRows, starts: Array) -> None:
        """Take rows of an open pane; `starts` int64[features] are where each feature's cells begin."""
        if not len(self.held.entities):
            self.held = no_rows(len(starts), len(self.pairs))
        joined = HeldRows(*(np.concatenate(parts, axis=-1) for parts in zip(self.held, batch, strict=True)))
        kept = np.flatnonzero(one_row_per_entity(joined.entities, joined.orders))
        kept = kept[np.argsort(joined.entities[kept])][:MOST_ENTITIES]
        self.held = held = joined.taken(kept)
        places = (held.codes + starts[:, None])[held.codes != ABSENT]
        above = held.above.astype(np.float32)
        self.rows = len(kept)
        self.counts = np.bincount(places, minlength=len(self.counts))
        self.pairs = (above @ above.T).astype(np.int64)

    def settle(self) -> None:
        """Let go of the rows of a pane that is sealed."""
        self.held = no_rows(0, len(self.pairs))

    def merge(self, other: "ThinnedRows") -> None:
        """Add those of another pane."""
        self.rows, self.counts, self.pairs = (
            self.rows + other.rows,
            self.counts + other.counts,
            self.pairs + other.pairs,
        )
        self.settle()

    def copy(self) -> "ThinnedRows":
        """Return the same; arrays are replaced and never changed, so they are shared."""
        return ThinnedRows(self.rows, self.counts, self.pairs, self.held)


def no_rows(features: int, paired: int) -> HeldRows:
    """Return rows of so many features, of which there are none."""
    none = np.zeros(0, np.uint64)
    return HeldRows(none, none, np.zeros((features, 0), np.uint8), np.zeros((paired, 0), bool))


def row_keys(blocks: Sequence[Block], window_us: int) -> RowKeys:
    """Return the keys of the rows of blocks: of each the stored entity, else the routing key, else its own.

    Requests with several entities have no entity key. Which of an entity's rows comes first is random, as the
    earliest of a session is unlike the others; so is which entities do, anew in each window.
    """
    numbers = numbers_of(blocks)
    rows = numbers["rows"].astype(np.int64)
    stored, routed = (_first_half(keys_of(blocks, name)) for name in ("entity_key", "routing_key"))
    windows_us = (numbers["recorded_us"] // window_us * window_us).astype(np.uint64)
    keys = np.where(stored != 0, stored, routed)
    entities = np.repeat(np.where(keys != 0, mixed(keys ^ windows_us), 0), rows)
    places = np.arange(len(entities)) - np.repeat(np.cumsum(rows) - rows, rows)
    ids = ids_of(blocks).view("<u8")
    requests = mixed(mixed(ids[:, 0].astype(np.uint64)) ^ ids[:, 1])
    places += np.repeat(numbers["first_row"], rows)
    orders = mixed(np.repeat(requests, rows) + places.astype(np.uint64))
    return RowKeys(np.where(entities != 0, entities, orders), orders)


def one_row_per_entity(entities: Array, order: Array) -> Array:
    """Return bool[rows]: of each entity the row that is lowest in `order`; among equals the first."""
    ordered = np.lexsort((order, entities))
    sorted_entities = entities[ordered]
    first = np.ones(len(entities), bool)
    first[1:] = sorted_entities[1:] != sorted_entities[:-1]
    kept = np.zeros(len(entities), bool)
    kept[ordered[first]] = True
    return kept


def _first_half(hashes: Array) -> Array:
    return np.ascontiguousarray(hashes).view("<u8")[:, 0].astype(np.uint64)
