"""From columns to the numbers of their cells: many rows of all features at once. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from driftgate.monitoring.log.columns import Texts
from driftgate.monitoring.log.record import Array
from driftgate.monitoring.reference.profile import ReferenceProfile
from driftgate.monitoring.windows.aspects import text_aspects, wide_aspect
from driftgate.monitoring.windows.cells import CategoricalCells, Precision
from driftgate.monitoring.windows.numeric_coder import Numbers, NumericCoder, row_hashes
from driftgate.monitoring.windows.observed import Observed
from driftgate.monitoring.windows.text_hash import hash_of, text_hashes
from driftgate.monitoring.windows.thinned_rows import RowKeys

_OF_CLIENTS = ("input", "feature")
"""The roles of columns that a row is given with."""


@dataclass(frozen=True, slots=True)
class CodedRows:
    """Rows in cells: `codes` uint8[features, rows] of the profile's features at the places `features`.

    `row_hashes` uint64[rows] are equal for rows whose inputs and stored features are; `texts` are the
    categorical columns, by the place of their feature. `fits`: the columns are those of the profile. `keys`
    say whose the rows are, where one row of each entity counts.
    """

    rows: int
    features: Array
    codes: Array
    numbers: tuple[Numbers, ...]
    row_hashes: Array
    fits: bool
    texts: dict[int, Texts]
    keys: RowKeys | None = None


class CellCoder:
    """Codes columns into the cells of one profile. Columns that the profile does not know are left out."""

    def __init__(self, profile: ReferenceProfile) -> None:
        self.profile = profile
        self._numeric: dict[Precision, NumericCoder] = {
            "single": NumericCoder(profile.features, "single"),
            "double": NumericCoder(profile.features, "double"),
        }
        self._are_inputs = np.array([one.role in _OF_CLIENTS for one in profile.features])
        self._expected = frozenset(one.column for one in profile.features if one.role in _OF_CLIENTS)
        self._categorical: dict[int, _CategoricalCoder] = {}
        self._by_column: dict[str, list[int]] = {}
        for place, feature in enumerate(profile.features):
            self._by_column.setdefault(feature.column, []).append(place)
            if isinstance(feature.cells, CategoricalCells):
                self._categorical[place] = _CategoricalCoder(feature.cells)

    def code(
        self, columns: Sequence[Observed], rows: int, left_out: frozenset[str] = frozenset()
    ) -> CodedRows:
        """Return so many rows of columns in cells; those that are `left_out` are not missed."""
        found: dict[Precision, list[tuple[int, Array]]] = {"single": [], "double": []}
        codes: list[tuple[int, Array]] = []
        texts: dict[int, Texts] = {}
        hashes = np.zeros(rows, np.uint64)
        for column in columns:
            if isinstance(column.values, Texts) and column.role in _OF_CLIENTS:
                hashes += text_hashes(column.values)
            for place, values in self._features_of(column):
                feature = self.profile.features[place]
                if isinstance(feature.cells, CategoricalCells):
                    codes.append((place, self._categories(place, values, rows)))
                    if isinstance(values, Texts):
                        texts[place] = values
                elif isinstance(values, Texts) or values.dtype.kind not in "fiub":
                    codes.append((place, np.full(rows, feature.cells.mistyped, np.uint8)))
                else:
                    found[feature.cells.precision].append((place, values))
        return replace(self._together(found, codes, texts, hashes), fits=self._fits(columns, left_out))

    def new_values(
        self, coded: CodedRows, rows: Array | slice, most: int
    ) -> Iterator[tuple[int, dict[str, int]]]:
        """Yield features that some of the rows have new values of, with at most so many values and counts."""
        if not self.profile.rows:
            return
        for place, texts in coded.texts.items():
            row = int(np.flatnonzero(coded.features == place)[0])
            found = np.arange(coded.rows)[rows]
            found = found[coded.codes[row, rows] == self._categorical[place].new]
            if len(found):
                yield place, _counts(texts, found, most)

    def _fits(self, columns: Iterable[Observed], left_out: frozenset[str]) -> bool:
        """Tell whether the columns are the profile's; those of tensors that are left out are not known."""
        found = {column.name for column in columns if column.role in _OF_CLIENTS}
        lacking = self._expected - found - left_out if left_out <= self._expected else frozenset()
        return found <= self._expected and not lacking

    def _features_of(self, column: Observed) -> Iterator[tuple[int, Array | Texts]]:
        """Yield the features that are counted of a column, and what is counted."""
        places = self._by_column.get(column.name, ())
        aspects: dict[str, Array] = {}
        for place in places:
            feature, values = self.profile.features[place], column.values
            if feature.aspect == "value":
                yield place, values
            elif isinstance(values, Texts):
                aspects = aspects or text_aspects(values, _words_of(self.profile, places))
                yield place, aspects.get(feature.aspect, values)
            elif values.ndim > 1:
                yield place, wide_aspect(values, feature.aspect, feature.projection)
            else:
                yield place, np.full(len(values), "")  # a number where a text or a row of numbers was

    def _categories(self, place: int, values: Array | Texts, rows: int) -> Array:
        coder = self._categorical[place]
        return coder.code(values) if isinstance(values, Texts) else np.full(rows, coder.mistyped, np.uint8)

    def _together(
        self,
        found: dict[Precision, list[tuple[int, Array]]],
        codes: list[tuple[int, Array]],
        texts: dict[int, Texts],
        hashes: Array,
    ) -> CodedRows:
        numbers, parts = [], []
        for precision, columns in found.items():
            if columns:
                coder = self._numeric[precision]
                one = coder.matrix(columns)
                numbers.append(one)
                parts.append(coder.code(one))
                hashes += row_hashes(one, self._are_inputs[one.features])
        features = [one.features for one in numbers] + [np.array([place for place, _ in codes], np.int64)]
        parts += [code[None, :] for _, code in codes]
        return CodedRows(
            rows=len(hashes),
            features=np.concatenate(features),
            codes=np.concatenate(parts) if parts else np.zeros((0, len(hashes)), np.uint8),
            numbers=tuple(numbers),
            row_hashes=hashes,
            fits=True,
            texts=texts,
        )


class _CategoricalCoder:
    """Finds the cells of texts by their hashes."""

    def __init__(self, cells: CategoricalCells) -> None:
        known = {hash_of(value): cells.other for value in cells.rare}
        known |= {hash_of(value): place + 1 for place, value in enumerate(cells.values)}
        known |= {hash_of(value): cells.NULL for value in ("", cells.null_text)}
        self._hashes = np.array(sorted(known), np.uint64)
        self._codes = np.array([known[one] for one in sorted(known)], np.uint8)
        self.new = cells.new
        self.mistyped = cells.mistyped

    def code(self, texts: Texts) -> Array:
        """Return the cells of texts: uint8[texts]."""
        hashes = text_hashes(texts)
        places = np.minimum(np.searchsorted(self._hashes, hashes), len(self._hashes) - 1)
        return np.where(self._hashes[places] == hashes, self._codes[places], self.new).astype(np.uint8)


def _counts(texts: Texts, rows: Array, most: int) -> dict[str, int]:
    """Return how often each of the texts of these rows is there; of too many different ones, the first."""
    hashes = text_hashes(texts)[rows]
    _, first, counts = np.unique(hashes, return_index=True, return_counts=True)
    chosen = np.argsort(-counts, kind="stable")[:most]
    bounds = texts.offsets.astype(np.int64)
    found: dict[str, int] = {}
    for row, count in zip(rows[first[chosen]].tolist(), counts[chosen].tolist(), strict=True):
        text = texts.data[bounds[row] : bounds[row + 1]].decode()
        found[text] = found.get(text, 0) + count
    return found


def _words_of(profile: ReferenceProfile, places: Iterable[int]) -> bytes:
    return next((profile.features[place].words for place in places if profile.features[place].words), b"")
