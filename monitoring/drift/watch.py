"""One stream of windows (a version's arm or segment) against its reference, and what is reported of it. Pure.

Features and pairs of features are two tests: each has evidence of its own, and a part of the budget.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from driftgate.monitoring.drift.bets import Bets, bets_against
from driftgate.monitoring.drift.dependence import pair_at, pair_band, pair_offsets, pair_places
from driftgate.monitoring.drift.detector_codec import decode_state, encode_state
from driftgate.monitoring.drift.e_detector import EDetector, Evidence, MovedCell, named, rows_of
from driftgate.monitoring.drift.effect_sizes import EffectSizes, effect_sizes
from driftgate.monitoring.drift.report import DriftReport, FeatureDrift, PairDrift
from driftgate.monitoring.drift.seasons import TOLERANCE, SeasonalReference, judged_by_hour
from driftgate.monitoring.drift.sufficiency import NotEnoughData
from driftgate.monitoring.log.record import Array
from driftgate.monitoring.reference.band import Band, reference_band, with_borderline
from driftgate.monitoring.reference.profile import FeatureProfile, ReferenceProfile
from driftgate.monitoring.windows.cells import NumericCells
from driftgate.monitoring.windows.pane import Pane


@dataclass(frozen=True)
class WatchSettings:
    """`tolerance`: a change of a share that nobody minds; `one_observation`: rows of a window may depend."""

    tolerance: float = 0.0
    one_observation: bool = False


@dataclass(frozen=True)
class Seasons:
    """What windows are judged by once it is armed: cells, and pairs as features of one cell (None: none)."""

    cells: SeasonalReference
    pairs: SeasonalReference | None = None
    utc_offset_s: int = 0


@dataclass(frozen=True)
class _Test:
    detector: EDetector
    bets_at: Callable[[int], Bets]


class DriftWatch:
    """Evidence of one stream. `update` with sealed panes in the order of time; `report` at any time."""

    def __init__(
        self,
        profile: ReferenceProfile,
        settings: WatchSettings | None = None,
        seasons: Seasons | None = None,
    ) -> None:
        """Begin without evidence, judged by the profile or by seasons of the same cells.

        Raises ValueError if the profile has no features.
        """
        if not profile.features:
            raise ValueError("a reference profile without features has nothing to watch")
        settings = settings or WatchSettings()
        self._profile = profile
        self._offsets = profile.offsets()
        self._pair_places = pair_places(len(profile.pairs.features))
        if seasons:
            offset_s = seasons.utc_offset_s
            self._cells = _seasonal_test(seasons.cells, settings, offset_s)
            self._pairs = _seasonal_test(seasons.pairs, settings, offset_s) if seasons.pairs else None
        else:
            band = reference_band(profile.counts() * judged_cells(profile), self._offsets, settings.tolerance)
            self._cells = _test(with_borderline(band, profile), self._offsets, settings)
            self._pairs = _pair_test(profile, settings)

    def update(self, pane: Pane, window_us: int) -> None:
        """Take in the pane that began then."""
        rows = rows_of(pane.counts, self._offsets)
        self._cells.detector.update(self._cells.bets_at(window_us), pane.counts, rows, window_us)
        if self._pairs:
            counts = pane.pairs.take(self._pair_places)
            each = np.full(len(counts), pane.rows)
            self._pairs.detector.update(self._pairs.bets_at(window_us), counts, each, window_us)

    def evidence(self) -> Evidence:
        """Return the evidence of the features."""
        return self._cells.detector.evidence()

    def pair_evidence(self) -> Evidence | None:
        """Return the evidence of the pairs, None where there are none."""
        return self._pairs.detector.evidence() if self._pairs else None

    @property
    def windows(self) -> int:
        """How many windows with rows it has taken in."""
        return self._cells.detector.state.windows

    def moved(self, feature: int) -> MovedCell:
        """Return which cell of a feature moved most."""
        return self._cells.detector.moved(feature)

    def pair_moved(self, pair: int) -> MovedCell:
        """Return which way a pair moved. Raises LookupError where there are no pairs."""
        if self._pairs is None:
            raise LookupError("the profile has no pairs")
        return self._pairs.detector.moved(pair)

    def reset(self) -> None:
        """Forget all evidence, as after an acknowledgement."""
        self._cells.detector.reset()
        if self._pairs:
            self._pairs.detector.reset()

    def states(self) -> tuple[bytes, bytes]:
        """Return the states of features and pairs, to be kept; empty where there are no pairs."""
        pairs = encode_state(self._pairs.detector.state) if self._pairs else b""
        return encode_state(self._cells.detector.state), pairs

    def restore(self, features: bytes, pairs: bytes) -> None:
        """Go on from kept states. Raises ValueError or NewerFormat if they are not of this profile."""
        self._cells.detector.restore(decode_state(features))
        if self._pairs:
            self._pairs.detector.restore(decode_state(pairs))

    def report(self, target: float, shown: Pane) -> DriftReport:
        """Return what is said: who is named at the target, and effect sizes of the pane that is shown."""
        evidence, pairs = self.evidence(), self.pair_evidence()
        places = named(evidence, target).tolist()
        features = self._profile.features
        return DriftReport(
            windows=self._cells.detector.state.windows,
            log10_evidence=_log10(evidence.model),
            log10_pair_evidence=_log10(pairs.model) if pairs else None,
            named=tuple(features[place].name for place in places),
            pairs=_named_pairs(self._profile, self._pairs, target) if self._pairs else (),
            features=tuple(self._feature(place, evidence, shown) for place in range(len(features))),
        )

    def _feature(self, place: int, evidence: Evidence, shown: Pane) -> FeatureDrift:
        feature = self._profile.features[place]
        moved = self._cells.detector.moved(place)
        counts = shown.counts[self._offsets[place] : self._offsets[place + 1]]
        return FeatureDrift(
            name=feature.name,
            log10_evidence=_log10(float(evidence.features[place])),
            cell=feature.cells.names[moved.cell],
            rises=moved.rises,
            onset_us=moved.onset_us,
            effect=_effect(feature, counts),
        )


def judged_cells(profile: ReferenceProfile) -> Array:
    """Return bool[cells]: those of features that drift is looked for in.

    The age of stored features is none: between two loads it grows by design.
    """
    sizes = [one.cells.size for one in profile.features]
    return np.repeat([one.role != "feature_age" for one in profile.features], sizes)


def _test(band: Band, offsets: Array, settings: WatchSettings) -> _Test:
    bets = bets_against(band)
    return _Test(EDetector(offsets, bets.open, settings.one_observation), lambda _: bets)


def _pair_test(profile: ReferenceProfile, settings: WatchSettings) -> _Test | None:
    if len(profile.pairs.features) < 2:
        return None
    band = pair_band(profile.pairs.matrix(), profile.pairs.rows, settings.tolerance)
    return _test(band, pair_offsets(len(profile.pairs.features)), settings)


def _seasonal_test(reference: SeasonalReference, settings: WatchSettings, utc_offset_s: int) -> _Test:
    open_bets, bets_at = judged_by_hour(reference, max(TOLERANCE, settings.tolerance), utc_offset_s)
    return _Test(EDetector(reference.offsets, open_bets, settings.one_observation), bets_at)


def _named_pairs(profile: ReferenceProfile, test: _Test, target: float) -> tuple[PairDrift, ...]:
    evidence, names = test.detector.evidence(), profile.pairs.features
    found = []
    for place in named(evidence, target).tolist():
        first, second = pair_at(place, len(names))
        moved = test.detector.moved(place)
        strength = float(np.log10(evidence.features[place]))
        found.append(PairDrift(names[first], names[second], strength, moved.rises, moved.onset_us))
    return tuple(found)


def _effect(feature: FeatureProfile, counts: Array) -> EffectSizes | NotEnoughData:
    reference = np.array(feature.counts)
    if isinstance(feature.cells, NumericCells):
        return effect_sizes(reference, counts, np.array(feature.cells.thresholds), NumericCells.BELOW)
    return effect_sizes(reference, counts)


def _log10(evidence: float) -> float | None:
    """None where evidence is not known; not below 1e-300, so that it is a number where there is none."""
    return None if np.isnan(evidence) else float(np.log10(max(evidence, 1e-300)))
