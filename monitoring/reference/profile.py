"""The reference profile: what a model's columns looked like when all was well, as counts in cells. Pure.

It is written once and read by whoever folds, compares or shows windows. Two windows can be compared or added
only if they were folded with the same profile, which `profile_id` names.
"""

import hashlib
from typing import Literal, NamedTuple

import msgspec
import numpy as np

from driftgate.monitoring.log.record import Array
from driftgate.monitoring.windows.cells import CategoricalCells, Cells, NumericCells

FORMAT = 1
PROFILE_FILE = "profile.json"
MAX_PROFILE_BYTES = 64 * 2**20
MOST_PAIRED = 64

Role = Literal["input", "feature", "prediction", "score", "latency", "feature_age"]
TextAspect = Literal["length", "letters", "digits", "other_scripts", "unseen"]
WideAspect = Literal["mean", "sd", "min", "max", "projection"]
Aspect = Literal["value"] | TextAspect | WideAspect
"""What of a column is counted: its value; of a text its length in bytes, the shares of its bytes in Latin
letters, digits and other scripts, the share of its words that the reference never has; of a wide row its
mean, standard deviation, extremes, and seeded random projections."""
Source = Literal["none", "training", "traffic"]


class StoredNames(NamedTuple):
    """Stored features that complete a version's rows (`view.feature`), and the views that they are of."""

    features: tuple[str, ...] = ()
    views: tuple[str, ...] = ()


class InvalidProfile(Exception):
    """What was read is no reference profile, and why."""


class Moments(msgspec.Struct, frozen=True):
    """Of the finite values: how many, mean, standard deviation, extremes. All 0 where there are none."""

    n: int = 0
    mean: float = 0.0
    sd: float = 0.0
    min: float = 0.0
    max: float = 0.0


class FeatureProfile(msgspec.Struct, frozen=True, omit_defaults=True):
    """One watched feature: its column in the log, its role, its cells and how many of the rows were in each.

    A value that one row alone has counts as new, as the others do not know it; `borderline` rows have values
    that would have no cell of their own without that row. `projection` numbers the random projection of a
    wide row. `centre` and `spread` (median and interquartile range, at least a little) scale the moments of
    windows; `words` has a bit for each hashed word of the reference.
    """

    name: str
    column: str
    role: Role
    cells: Cells
    counts: tuple[int, ...]
    aspect: Aspect = "value"
    projection: int = 0
    moments: Moments = Moments()
    centre: float = 0.0
    spread: float = 1.0
    words: bytes = b""
    borderline: int = 0

    @property
    def rows(self) -> int:
        """How many rows of the reference had this feature."""
        return sum(self.counts)


class PairCounts(msgspec.Struct, frozen=True):
    """How often two features were at or above their medians in the same row.

    `counts` is the matrix over `features`, row by row; on its diagonal are the features alone. Of `rows`.
    """

    features: tuple[str, ...] = ()
    medians: tuple[float, ...] = ()
    counts: tuple[int, ...] = ()
    rows: int = 0

    def matrix(self) -> Array:
        """Return the counts as int64[features, features]."""
        side = len(self.features)
        return np.array(self.counts, np.int64).reshape(side, side)


class ReferenceProfile(msgspec.Struct, frozen=True, omit_defaults=True):
    """All watched features of a model version, in the order of the counts of its windows.

    A profile of source "none" was made without data: its cells tell nulls and infinities apart, its counts
    are 0, and nothing can be said of drift. Times are of the traffic it was made from, or completed from if
    the source is "training", in Unix microseconds.
    `repeats` are rows whose inputs are those of another row. `stored` names the stored features that complete
    its rows, `view.feature`; of traffic, each was stale, missing or too late in `stale` of `stale_of` rows.
    """

    format: int
    source: Source
    rows: int
    features: tuple[FeatureProfile, ...]
    pairs: PairCounts = PairCounts()
    first_us: int = 0
    last_us: int = 0
    repeats: int = 0
    stored: tuple[str, ...] = ()
    stale: tuple[int, ...] = ()
    stale_of: int = 0

    def feature(self, name: str) -> FeatureProfile | None:
        """Return the feature of this name, or None."""
        return next((one for one in self.features if one.name == name), None)

    def offsets(self) -> Array:
        """Return where each feature's cells begin in an array of all, and the end: int64[features + 1]."""
        return np.cumsum([0, *(one.cells.size for one in self.features)], dtype=np.int64)

    def counts(self) -> Array:
        """Return the counts of all cells of all features: int64[offsets[-1]]."""
        return np.array([count for one in self.features for count in one.counts], np.int64)


def profile_id(data: bytes) -> str:
    """Return what names a profile: the first half of the SHA-256 of its bytes, in hex."""
    return hashlib.sha256(data).hexdigest()[:32]


def encode_profile(profile: ReferenceProfile) -> bytes:
    """Return the bytes of `profile.json`."""
    return msgspec.json.encode(profile, order="deterministic") + b"\n"


def decode_profile(data: bytes) -> ReferenceProfile:
    """Return the profile in `data`; raise InvalidProfile that names the field if it is none."""
    try:
        found = msgspec.json.decode(data, type=_OnlyFormat).format
        if found != FORMAT:
            raise InvalidProfile(
                f"{PROFILE_FILE} has format {found}; this Driftgate reads format {FORMAT}. Upgrade Driftgate."
            )
        profile = msgspec.json.decode(data, type=ReferenceProfile)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise InvalidProfile(f"{PROFILE_FILE}: {error}") from error
    _check(profile)
    return profile


class _OnlyFormat(msgspec.Struct):
    format: int


def _check(profile: ReferenceProfile) -> None:
    names = [one.name for one in profile.features]
    if len(set(names)) != len(names):
        raise InvalidProfile("features: two have the same name")
    for one in profile.features:
        if len(one.counts) != one.cells.size or min(one.counts, default=0) < 0:
            raise InvalidProfile(f"feature {one.name!r}: its counts are not one for each of its cells")
        if isinstance(one.cells, NumericCells) and not _ascends(one.cells):
            raise InvalidProfile(f"feature {one.name!r}: its thresholds do not ascend")
        if isinstance(one.cells, CategoricalCells) and len(set(one.cells.values)) != len(one.cells.values):
            raise InvalidProfile(f"feature {one.name!r}: a value has two cells")
    side = len(profile.pairs.features)
    if len(profile.pairs.counts) != side * side or len(profile.pairs.medians) != side:
        raise InvalidProfile("pairs: there is not one count for each two features")
    if profile.stale and len(profile.stale) != len(profile.stored):
        raise InvalidProfile("stale: there is not one count for each stored feature")
    if not set(profile.pairs.features) <= set(names):
        raise InvalidProfile("pairs: a feature is none of the profile's")


def _ascends(cells: NumericCells) -> bool:
    edges = np.array(cells.thresholds)
    return bool(len(edges) and np.isfinite(edges).all() and (np.diff(edges) > 0).all())
