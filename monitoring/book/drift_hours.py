"""The hours of the week that armed versions are judged by: learnt once from stored windows, then kept."""

from collections.abc import Callable, Iterator, Mapping

from driftgate.monitoring.book.pane_tables import StoredPane
from driftgate.monitoring.drift.learnt_hours import decode_hours, encode_hours, learnt_hours
from driftgate.monitoring.drift.plan import Judging
from driftgate.monitoring.drift.version_drift import Learn
from driftgate.monitoring.drift.watch import Seasons
from driftgate.monitoring.reference.profile import ReferenceProfile
from driftgate.monitoring.windows.pane import ALL_ROWS, Pane, PaneKey

FindPanes = Callable[[str, int, int, Callable[[PaneKey], bool]], list[StoredPane]]
"""Returns the accepted panes of a model that begin in [first, end), as `MonitorDb.panes`."""
PART_US = 6 * 3_600_000_000
_STATES = "hours/"


def each_pane(
    find: FindPanes, model: str, between: tuple[int, int], accept: Callable[[PaneKey], bool]
) -> Iterator[tuple[int, Pane]]:
    """Yield start and pane of the accepted panes of a model, by start; few are in memory at a time."""
    first_us, end_us = between
    for start_us in range(first_us, end_us, PART_US):
        for one in find(model, start_us, min(start_us + PART_US, end_us), accept):
            yield one.key.start_us, one.pane


class HoursKeeper:
    """Learns hours where they are asked for the first time; what is new is to be saved."""

    def __init__(self, panes: FindPanes, saved: Mapping[str, bytes], note: Callable[[str], None]) -> None:
        self._panes = panes
        self._note = note
        self._known = {name: data for name, data in saved.items() if name.startswith(_STATES) and data}
        self._unsaved: dict[str, bytes] = {}

    def of(
        self, version: tuple[str, int], profile_id: str, profile: ReferenceProfile, judging: Judging
    ) -> Learn:
        """Return what finds the hours of a version's segments."""
        learnt = judging.learnt

        def learn(segment: str) -> Seasons | None:
            if learnt is None:
                return None
            name = _STATES + "/".join(
                map(str, (*version, profile_id, *learnt, judging.utc_offset_s, segment))
            )
            known = self._known.get(name)
            if known is not None:
                return decode_hours(profile, known)

            def accept(key: PaneKey) -> bool:
                return (key.version, key.profile, key.segment) == (version[1], profile_id, segment)

            panes = each_pane(self._panes, version[0], learnt, accept)
            if judging.thin == "entity":
                panes = ((start_us, pane.of_entities()) for start_us, pane in panes)
            seasons = learnt_hours(profile, panes, judging.utc_offset_s)
            if segment == ALL_ROWS and not seasons.cells.rows.any():  # a segment may be younger
                self._note(f"{version[0]} version {version[1]}: the windows that it was armed with are gone")
            self._known[name] = self._unsaved[name] = encode_hours(seasons)
            return seasons

        return learn

    def unsaved(self) -> dict[str, bytes]:
        """Return what is to be saved, by name."""
        return dict(self._unsaved)

    def saved(self) -> None:
        """Forget what was to be saved."""
        self._unsaved.clear()
