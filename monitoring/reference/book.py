"""Which reference counts which rows: by version, and by the time from which a reference is in force. Pure."""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from driftgate.monitoring.log.columns import Texts, texts_of_list
from driftgate.monitoring.reference.profile import (
    InvalidProfile,
    ReferenceProfile,
    StoredNames,
    decode_profile,
    encode_profile,
    profile_id,
)
from driftgate.monitoring.reference.sample import ReferenceSample, row_priorities
from driftgate.monitoring.windows.cell_coder import CellCoder
from driftgate.monitoring.windows.observed import Observed
from driftgate.monitoring.windows.pane_fold import PaneFold

FindProfile = Callable[[str, int], bytes | None]
"""Returns the bytes of the profile that a version was published with, None if it has none."""


@dataclass(frozen=True)
class Reference:
    """A profile in force for one version, for rows from `from_us` on (Unix microseconds)."""

    model: str
    version: int
    from_us: int
    id: str
    profile: ReferenceProfile
    data: bytes


class InForce:
    """A reference with what is worked out from it once."""

    def __init__(self, reference: Reference) -> None:
        self.reference = reference
        self.coder = CellCoder(reference.profile)
        self.fold = PaneFold(reference.profile)


class ReferenceBook:
    """All references. A version that is met for the first time gets the one that it was published with.

    Where there is none, it gets one without data, made from the columns of its first rows.
    """

    def __init__(
        self, known: Iterable[Reference], find: FindProfile, on_problem: Callable[[str], None]
    ) -> None:
        self._by_version: dict[tuple[str, int], list[InForce]] = {}
        self._find = find
        self.on_problem = on_problem
        self.added: list[Reference] = []
        """What has come since the last commit."""
        for reference in known:
            self._insert(reference)

    def at(self, model: str, version: int, time_us: int) -> InForce | None:
        """Return the reference for rows of a time, or None if the version has never been met."""
        known = self._by_version.get((model, version))
        if not known:
            return None
        place = bisect_right(known, time_us, key=lambda one: one.reference.from_us)
        return known[max(0, place - 1)]

    def with_id(self, model: str, version: int, profile: str) -> ReferenceProfile | None:
        """Return the profile of this id among the references of a version."""
        known = self._by_version.get((model, version), ())
        return next((one.reference.profile for one in known if one.reference.id == profile), None)

    def newest(self) -> list[Reference]:
        """Return the last reference of every version."""
        return [known[-1].reference for known in self._by_version.values()]

    def meet(
        self, model: str, version: int, columns: Sequence[Observed], stored: StoredNames | None = None
    ) -> InForce:
        """Return the reference of a version that has none yet, whose rows have such columns."""
        data = self._published(model, version)
        if data is None:
            sample = ReferenceSample(stored=stored)
            sample.update([_without_rows(column) for column in columns], row_priorities(0, 0))
            data = encode_profile(sample.get("none"))
        return self.add(model, version, 0, data)

    def add(self, model: str, version: int, from_us: int, data: bytes) -> InForce:
        """Put a profile in force from a time on; raise InvalidProfile if the bytes are none."""
        reference = Reference(model, version, from_us, profile_id(data), decode_profile(data), data)
        self.added.append(reference)
        return self._insert(reference)

    def _insert(self, reference: Reference) -> InForce:
        known = self._by_version.setdefault((reference.model, reference.version), [])
        known[:] = [one for one in known if one.reference.from_us != reference.from_us]
        known.append(InForce(reference))
        known.sort(key=lambda one: one.reference.from_us)
        return next(one for one in known if one.reference is reference)

    def _published(self, model: str, version: int) -> bytes | None:
        data = self._find(model, version)
        try:
            if data is not None:
                decode_profile(data)
            return data
        except InvalidProfile as error:
            self.on_problem(f"{model} version {version} is watched without its reference: {error}")
            return None


def _without_rows(column: Observed) -> Observed:
    values = column.values
    none = texts_of_list([]) if isinstance(values, Texts) else values[:0]
    return Observed(column.name, column.role, none)
