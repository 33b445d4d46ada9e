"""Windows: blocks of the log are folded into panes by the time of their records, until a watermark passes.

The same records give the same counts in whatever order and parts they are read. What comes for a pane that is
sealed is counted as late and changes nothing else.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from driftgate.monitoring.drift.plan import DriftPlan, PlanOf
from driftgate.monitoring.drift.targets import Receivers
from driftgate.monitoring.log.blocks import Block, numbers_of, texts_of
from driftgate.monitoring.log.record import Array
from driftgate.monitoring.quality.silence_watch import ArmsOf
from driftgate.monitoring.reference.book import FindProfile, InForce, ReferenceBook
from driftgate.monitoring.windows.cell_coder import CodedRows
from driftgate.monitoring.windows.heavy_segments import Hashes, HeavySegments, without_cells
from driftgate.monitoring.windows.observed import (
    Observed,
    feature_ages,
    observed_columns,
    request_latency,
    stored_names,
    stored_statuses,
)
from driftgate.monitoring.windows.pane import ALL_ROWS, PANE_US, Pane, PaneKey
from driftgate.monitoring.windows.pane_segments import segment_rows
from driftgate.monitoring.windows.thinned_rows import row_keys

WATCHED_PURPOSES = ("live", "batch")
MOST_NEW_NAMES = 1000
"""Different new values that are named of one feature in one step; more are counted all the same."""

NamesOf = Callable[[str], Sequence[str]]
"""Returns some of the columns of a model."""


@dataclass(frozen=True)
class Watched:
    """What windows are made with beside the log.

    `find_profile` finds what a version was published with; by the cells of `segments_of` windows are kept
    apart; the columns in `hashed_of` are logged as hashes, so they are not watched. A window is `window_us`
    long; `plan_of` says how drift is judged, also whether one row of each entity counts; `receivers` who is
    notified of it. `arms_of` are the arms that should have traffic.
    """

    find_profile: FindProfile = lambda model, version: None
    segments_of: NamesOf = lambda model: ()
    hashed_of: NamesOf = lambda model: ()
    window_us: int = PANE_US
    plan_of: PlanOf = lambda model, version: DriftPlan()
    receivers: Receivers = dict
    arms_of: ArmsOf = lambda model: None


@dataclass(frozen=True, slots=True)
class _Group:
    """Blocks that share a version and a layout. The arrays are of their requests."""

    model: str
    version: int
    blocks: list[Block]
    minutes: Array
    arms: Array
    arm_names: tuple[str, ...]
    rows: Array
    codes: Array
    watched: Array

    @property
    def has_payload(self) -> bool:
        return bool(self.blocks[0].layout.tensors)


class Windows:
    """The open panes of all models. Not for several threads."""

    def __init__(
        self,
        book: ReferenceBook,
        watched: Watched,
        heavy: HeavySegments,
        sealed_us: int = 0,
        open_panes: Iterable[tuple[PaneKey, Pane]] = (),
    ) -> None:
        """Go on with panes that are open, where everything before `sealed_us` is sealed."""
        self._book = book
        self._segments_of, self._hashed_of = watched.segments_of, watched.hashed_of
        self._plan_of = watched.plan_of
        self._window_us = watched.window_us
        self.heavy = heavy
        self.sealed_us = sealed_us
        self.open = dict(open_panes)
        self.changed: set[PaneKey] = set()
        """Open panes that rows have come to; whoever has stored them clears it."""
        self.lost_rows = 0
        """Rows that may not be in windows, because something in them could not be folded."""
        self.late: dict[PaneKey, int] = {}
        """Late rows since whoever stores them took them out."""

    def update(self, blocks: Iterable[Block]) -> None:
        """Fold blocks; many at once cost least."""
        alike: dict[object, list[Block]] = {}
        for block in blocks:
            if block.header.version:
                layout = block.layout
                alike.setdefault((layout.model, layout.version, layout.tensors), []).append(block)
        for group in alike.values():
            try:
                self._fold(_group(group, self._window_us))
            except Exception as error:  # one model's odd records must not stop the windows of all others
                rows = sum(block.header.records for block in group)
                self.lost_rows += rows
                self._book.on_problem(
                    f"{rows} records of {group[0].header.model} are not all in windows: "
                    f"{type(error).__name__}: {error}"
                )

    def seal(self, watermark_us: int) -> dict[PaneKey, Pane]:
        """Close the panes that ended at or before a time, and return them."""
        ended_us = watermark_us // self._window_us * self._window_us
        if ended_us <= self.sealed_us:
            return {}
        self.sealed_us = ended_us
        sealed = {key: pane for key, pane in self.open.items() if key.start_us < ended_us}
        for key, pane in sealed.items():
            del self.open[key]
            if pane.thinned is not None:
                pane.thinned.settle()
        self.changed -= sealed.keys()
        self.heavy.choose(self.untouched_us)
        return sealed

    @property
    def untouched_us(self) -> int:
        """The start of the first minute after all that have rows."""
        return max((key.start_us for key in self.open), default=self.sealed_us) + self._window_us

    def _fold(self, group: _Group) -> None:
        columns = self._columns(group) if group.has_payload else []
        row_count = int(group.rows.sum()) if group.has_payload else 0
        if columns:
            columns += [request_latency(group.blocks), *feature_ages(group.blocks)]
        coded: dict[str, CodedRows] = {}
        hashes: Hashes | None = None
        for minute, arm, requests in _parts(group):
            reference = self._reference(group, minute, columns)
            if reference is None:
                continue
            key = PaneKey(group.model, group.version, arm, ALL_ROWS, reference.reference.id, minute)
            if minute < self.sealed_us:
                late = int(np.maximum(group.rows[requests], 1).sum())
                self.late[key] = self.late.get(key, 0) + late
                continue
            pane = self._pane(key, reference)
            pane.quality.count_codes(group.codes[requests])
            if not group.has_payload:
                pane.rows += int(group.rows[requests].sum())
                continue
            if key.profile not in coded:
                coded[key.profile] = self._coded(group, reference, columns, row_count)
            if hashes is None:
                declared = without_cells(reference.reference.profile, self._segments_of(group.model))
                hashes = self.heavy.update((group.model, group.version), columns, declared)
            self._add(key, reference, coded[key.profile], _rows_of(group, requests))
            self._add_heavy(key, reference, coded[key.profile], hashes, _rows_of(group, requests))
            for names, statuses in stored_statuses(group.blocks):
                pane.quality.count_statuses(names, statuses[_rows_of(group, requests)])

    def _coded(self, group: _Group, reference: InForce, columns: Sequence[Observed], rows: int) -> CodedRows:
        coded = reference.coder.code(columns, rows, self._left_out(group))
        if self._plan_of(group.model, group.version).judging.thin != "entity":
            return coded
        return replace(coded, keys=row_keys(group.blocks, self._window_us))

    def _columns(self, group: _Group) -> list[Observed]:
        """Return what is logged as it is: a hash says nothing of its value's distribution."""
        hashed = set(self._hashed_of(group.model))
        return [
            column
            for column in observed_columns(group.blocks)
            if not hashed & {column.name, column.name.rpartition(".")[0]}
        ]

    def _left_out(self, group: _Group) -> frozenset[str]:
        """Return the columns, and tensors, that are not watched though the version has them."""
        return frozenset(group.blocks[0].layout.omitted) | frozenset(self._hashed_of(group.model))

    def _reference(self, group: _Group, minute: int, columns: Sequence[Observed]) -> InForce | None:
        known = self._book.at(group.model, group.version, minute)
        if known is None and any(column.role in ("prediction", "score") for column in columns):
            known = self._book.meet(group.model, group.version, columns, stored_names(group.blocks[0]))
        return known

    def _add(self, key: PaneKey, reference: InForce, coded: CodedRows, rows: Array | slice) -> None:
        pane = self._pane(key, reference)
        before = pane.rows
        reference.fold.update(pane, coded, rows)
        pane.quality.mismatched += 0 if coded.fits else pane.rows - before
        pane.quality.repeats.update(coded.row_hashes[rows])
        self._name_new(pane, coded, rows, reference)
        declared = self._segments_of(key.model)
        for segment, chosen in segment_rows(reference.reference.profile, declared, coded, rows):
            part = key._replace(segment=segment)
            reference.fold.update(self._pane(part, reference), coded, chosen)

    def _add_heavy(
        self, key: PaneKey, reference: InForce, coded: CodedRows, hashes: Hashes, rows: Array | slice
    ) -> None:
        for segment, chosen in self.heavy.rows((key.model, key.version), key.start_us, hashes, rows):
            part = key._replace(segment=segment)
            reference.fold.update(self._pane(part, reference), coded, chosen)

    def _name_new(self, pane: Pane, coded: CodedRows, rows: Array | slice, reference: InForce) -> None:
        for place, values in reference.coder.new_values(coded, rows, MOST_NEW_NAMES):
            pane.quality.count_new(place, values)

    def _pane(self, key: PaneKey, reference: InForce) -> Pane:
        self.changed.add(key)
        pane = self.open.get(key)
        if pane is None:
            pane = self.open[key] = Pane.empty(reference.fold.shape)
        return pane


def _group(blocks: list[Block], window_us: int) -> _Group:
    numbers, arms, purposes = numbers_of(blocks), texts_of(blocks, "arm"), texts_of(blocks, "purpose")
    chosen = [place for place, name in enumerate(purposes.texts) if name in WATCHED_PURPOSES]
    return _Group(
        model=blocks[0].header.model,
        version=blocks[0].header.version,
        blocks=blocks,
        minutes=numbers["recorded_us"] // window_us * window_us,
        arms=arms.codes,
        arm_names=arms.texts,
        rows=numbers["rows"].astype(np.int64),
        codes=numbers["code"],
        watched=np.isin(purposes.codes, chosen),
    )


def _parts(group: _Group) -> Iterator[tuple[int, str, Array]]:
    """Yield minutes and arms with their requests, as flags."""
    for minute in np.unique(group.minutes).tolist():
        in_minute = group.watched & (group.minutes == minute)
        for place in np.unique(group.arms[in_minute]).tolist():
            yield minute, group.arm_names[place], in_minute & (group.arms == place)


def _rows_of(group: _Group, requests: Array) -> Array | slice:
    if requests.all():
        return np.s_[:]
    return np.flatnonzero(np.repeat(requests, group.rows))
