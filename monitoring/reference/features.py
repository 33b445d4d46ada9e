"""From columns of reference rows to features: their cells, their scales, and which are paired. Pure."""

from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec
import numpy as np

from driftgate.monitoring.log.columns import Texts
from driftgate.monitoring.log.record import Array
from driftgate.monitoring.reference.profile import (
    MOST_PAIRED,
    FeatureProfile,
    Moments,
    PairCounts,
    ReferenceProfile,
)
from driftgate.monitoring.windows.aspects import (
    PROJECTIONS,
    TEXT_ASPECTS,
    WIDE_SUMMARIES,
    text_aspects,
    wide_aspect,
    word_bits,
)
from driftgate.monitoring.windows.cell_coder import CellCoder
from driftgate.monitoring.windows.cells import (
    MOST_DISTINCT,
    CategoricalCells,
    NumericCells,
    categorical_cells,
    numeric_cells,
)
from driftgate.monitoring.windows.observed import Observed
from driftgate.monitoring.windows.pane import Pane
from driftgate.monitoring.windows.pane_fold import PaneFold
from driftgate.monitoring.windows.text_hash import hash_of, text_hashes

LATENCY_CELLS = NumericCells(tuple(2.0**power for power in range(-3, 14)))
"""The same for all models, in milliseconds: training data have no latency."""
AGE_CELLS = NumericCells(tuple(2.0**power for power in range(26)))
"""The same for all views, from one second to a year."""
HOUR_S = 3600.0
_MOSTLY = 0.9
_IN_ANOTHER = 2


def features_of(column: Observed, null_text: str) -> Iterable[FeatureProfile]:
    """Yield what is watched of a column, without counts; `null_text` stands for null in it."""
    values, name = column.values, column.name
    if isinstance(values, Texts):
        yield from _text_features(column, values, null_text)
    elif values.ndim > 1:
        for summary in WIDE_SUMMARIES:
            yield _numeric(column, wide_aspect(values, summary), name=f"{name}.{summary}", aspect=summary)
        for number in range(PROJECTIONS):
            projected = wide_aspect(values, "projection", number)
            named = {"name": f"{name}.projection-{number}", "aspect": "projection", "projection": number}
            yield _numeric(column, projected, **named)
    elif column.role == "latency":
        yield latency_feature(name)
    elif column.role == "feature_age":
        yield age_feature(name)
    else:
        yield _numeric(column, values)


def latency_feature(name: str) -> FeatureProfile:
    """Return the feature of a time in milliseconds."""
    return FeatureProfile(name, name, "latency", LATENCY_CELLS, (0,) * LATENCY_CELLS.size, centre=1.0)


def age_feature(name: str) -> FeatureProfile:
    """Return the feature of an age in seconds."""
    return FeatureProfile(name, name, "feature_age", AGE_CELLS, (0,) * AGE_CELLS.size, spread=HOUR_S)


def counted(profile: ReferenceProfile, columns: Sequence[Observed]) -> ReferenceProfile:
    """Return the profile with the counts of its rows, counted as windows are.

    But for what windows find new: a row of the reference is asked what the others know. What only it has, a
    value or a word, counts as new, and so often will it be in rows to come (Good, 1953).
    """
    fold, coder = PaneFold(profile), CellCoder(_of_other_rows(profile, columns))
    pane = Pane.empty(fold.shape)
    coded = coder.code(columns, profile.rows)
    fold.update(pane, coded)
    starts = profile.offsets()
    features = []
    for place, feature in enumerate(profile.features):
        counts = pane.counts[starts[place] : starts[place + 1]]
        moments = moments_of(feature, pane, place, int(starts[place]))
        borderline = 0
        if isinstance(feature.cells, CategoricalCells) and place in coded.texts:
            codes = coded.codes[np.flatnonzero(coded.features == place)[0]]
            borderline = _count_new(counts, feature.cells, codes, coded.texts[place])
        known = {"counts": tuple(counts.tolist()), "moments": moments, "borderline": borderline}
        features.append(msgspec.structs.replace(feature, **known))
    pairs = msgspec.structs.replace(
        profile.pairs, counts=tuple(pane.pairs.ravel().tolist()), rows=profile.rows
    )
    repeats = profile.rows - len(np.unique(coded.row_hashes))
    return msgspec.structs.replace(profile, features=tuple(features), pairs=pairs, repeats=repeats)


def _of_other_rows(profile: ReferenceProfile, columns: Sequence[Observed]) -> ReferenceProfile:
    """Return the profile with words that are in two texts alone: those that a text finds in the others."""
    words = {
        column.name: word_bits(column.values, _IN_ANOTHER)
        for column in columns
        if isinstance(column.values, Texts)
    }
    features = tuple(
        msgspec.structs.replace(one, words=words.get(one.column, b"")) if one.words else one
        for one in profile.features
    )
    return msgspec.structs.replace(profile, features=features)


def _count_new(counts: Array, cells: CategoricalCells, codes: Array, texts: Texts) -> int:
    """Move rows whose value no other row has to the cell of new values.

    Return how many rows have a value that may be none of the frequent ones without that row.
    """
    _, places, times = np.unique(text_hashes(texts), return_inverse=True, return_counts=True)
    each = times[places]
    single = np.bincount(codes[(each == 1) & (codes != cells.NULL)], minlength=len(counts))
    counts -= single
    counts[cells.new] += single.sum()
    rare = each[codes == cells.other]
    frequent = (codes > cells.NULL) & (codes < cells.other)
    return int((each[frequent] <= rare.max() + 1).sum()) if len(rare) else 0


def moments_of(feature: FeatureProfile, pane: Pane, place: int, start: int) -> Moments:
    """Return the moments of the finite values in a pane of one feature, whose cells begin at `start`."""
    cells = feature.cells
    if not isinstance(cells, NumericCells):
        return Moments()
    n = int(pane.counts[start + cells.BELOW : start + cells.infinite].sum())
    if n <= 0:
        return Moments()
    mean = pane.sums[place] / n
    variance = max(0.0, pane.squares[place] / n - mean * mean)
    return Moments(
        n=n,
        mean=float(feature.centre + feature.spread * mean),
        sd=float(feature.spread * variance**0.5),
        min=float(pane.lows[place]),
        max=float(pane.highs[place]),
    )


def paired(features: Sequence[FeatureProfile], columns: Sequence[Observed]) -> PairCounts:
    """Return the pairs of numeric inputs that vary, without counts; of too many, some chosen by name."""
    values = {column.name: column.values for column in columns}
    medians: dict[str, float] = {}
    for feature in features:
        own = values.get(feature.column)
        is_plain = feature.aspect == "value" and feature.role in ("input", "feature")
        if (
            is_plain
            and isinstance(feature.cells, NumericCells)
            and own is not None
            and not isinstance(own, Texts)
        ):
            split = _split(_plain(own))
            if split is not None:
                medians[feature.name] = split
    names = sorted(medians, key=hash_of)[:MOST_PAIRED]
    chosen = tuple(name for name in medians if name in names)
    return PairCounts(chosen, tuple(medians[name] for name in chosen), (0,) * len(chosen) ** 2)


def _text_features(column: Observed, texts: Texts, null_text: str) -> Iterable[FeatureProfile]:
    counts = Counter(texts.tolist())
    if len(counts) <= MOST_DISTINCT:
        cells = categorical_cells(counts, null_text)
        yield FeatureProfile(column.name, column.name, column.role, cells, (0,) * cells.size)
        return
    words = word_bits(texts)
    values = text_aspects(texts, word_bits(texts, _IN_ANOTHER))
    for aspect in TEXT_ASPECTS:
        named = {"name": f"{column.name}.{aspect}", "aspect": aspect, "words": words}
        yield _numeric(column, values[aspect], **named)


def _numeric(column: Observed, values: Array, **fields: object) -> FeatureProfile:
    values = _plain(values)
    cells = numeric_cells(values)
    centre, spread = _scale(values[np.isfinite(values)])
    known = {"name": column.name, "column": column.name, "role": column.role} | fields
    known |= {"cells": cells, "counts": (0,) * cells.size, "centre": centre, "spread": spread}
    return FeatureProfile(**known)  # type: ignore[arg-type]


def _plain(values: Array) -> Array:
    """Return numbers as float32 where it holds them, else as float64."""
    return values.astype(np.float64 if values.dtype.itemsize > 4 or values.dtype == np.int32 else np.float32)


def _scale(finite: Array) -> tuple[float, float]:
    """Return median and interquartile range; where that is 0, the range, and where that is 0 too, 1."""
    if not len(finite):
        return 0.0, 1.0
    low, first, median, third, high = np.quantile(
        finite, (0, 0.25, 0.5, 0.75, 1), method="inverted_cdf"
    ).tolist()
    spread = (third - first) or (high - low)
    return median, spread if 0 < spread < np.inf else 1.0


def _split(values: Array) -> float | None:
    """Return the median, or the next value where nearly all reach it; None if there is nothing to split."""
    finite = np.sort(values[np.isfinite(values)])
    if not len(finite) or finite[0] == finite[-1]:
        return None
    median = finite[len(finite) // 2]
    if (finite >= median).mean() > _MOSTLY:
        median = finite[finite > median][0] if finite[-1] > median else median
    return float(median)
