"""Automatic segments: of declared text columns of which the reference has no cells by value."""

from collections.abc import Iterable, Iterator, Mapping

import msgspec
import numpy as np

from driftgate.monitoring.log.columns import Texts
from driftgate.monitoring.log.record import Array
from driftgate.monitoring.reference.profile import ReferenceProfile
from driftgate.monitoring.windows.heavy_hitters import HeavyHitters, HeavyState
from driftgate.monitoring.windows.observed import Observed

PREFIX = "segments/"
Hashes = Mapping[str, Array]
"""The hashes of the values of each column."""


class HeavySegments:
    """The frequent values of all such columns; goes on from what another one had saved."""

    def __init__(self, saved: Mapping[str, bytes]) -> None:
        self._saved = {name: data for name, data in saved.items() if name.startswith(PREFIX)}
        self._hitters: dict[str, HeavyHitters] = {}
        self._changed: set[str] = set()

    def update(
        self, version: tuple[str, int], columns: Iterable[Observed], declared: Iterable[str]
    ) -> Hashes:
        """Count the values of declared text columns of a version; return their hashes."""
        names = set(declared)
        return {
            column.name: self._of(version, column.name).update(column.values)
            for column in columns
            if column.name in names and isinstance(column.values, Texts)
        }

    def rows(
        self, version: tuple[str, int], minute_us: int, hashes: Hashes, rows: Array | slice
    ) -> Iterator[tuple[str, Array]]:
        """Yield segments that some of the rows are in (`merchant=acme`), with these rows."""
        for column, own in hashes.items():
            places = np.arange(len(own))[rows]
            found = self._of(version, column).rows_by_segment(own[places], minute_us)
            for value, flags in found.items():
                if flags.any():
                    yield f"{column}={value}", places[flags]

    def choose(self, from_us: int) -> None:
        """Give segments to what is frequent by now, from a minute on."""
        for hitters in self._hitters.values():
            hitters.choose(from_us)

    def changes(self) -> dict[str, bytes]:
        """Return the states that changed since `committed`, by name."""
        return {name: msgspec.msgpack.encode(self._hitters[name].state) for name in self._changed}

    def committed(self) -> None:
        """Forget what has changed: it is saved."""
        self._changed.clear()

    def _of(self, version: tuple[str, int], column: str) -> HeavyHitters:
        name = f"{PREFIX}{version[0]}/{version[1]}/{column}"
        self._changed.add(name)
        hitters = self._hitters.get(name)
        if hitters is None:
            saved = self._saved.pop(name, None)
            hitters = self._hitters[name] = HeavyHitters(_decoded(saved) if saved is not None else None)
        return hitters


def without_cells(profile: ReferenceProfile, declared: Iterable[str]) -> list[str]:
    """Return the declared columns that no feature of a reference has cells by value of."""
    known = {one.name for one in profile.features if one.rows}
    return [name for name in declared if name not in known]


def _decoded(data: bytes) -> HeavyState | None:
    try:
        return msgspec.msgpack.decode(data, type=HeavyState)
    except msgspec.MsgspecError:
        return None  # of another format: frequent values are found again
