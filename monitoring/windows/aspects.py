"""What is counted of columns that are too rich for cells of their own: texts, and wide rows. Pure."""

import numpy as np

from driftgate.monitoring.log.columns import Texts
from driftgate.monitoring.log.record import Array
from driftgate.monitoring.reference.profile import TextAspect, WideAspect
from driftgate.monitoring.windows.text_hash import word_hashes

PROJECTIONS = 8
WORD_BITS = 2**17
TEXT_ASPECTS: tuple[TextAspect, ...] = ("length", "letters", "digits", "other_scripts", "unseen")
WIDE_SUMMARIES: tuple[WideAspect, ...] = ("mean", "sd", "min", "max")
_LETTERS, _DIGITS, _OTHER_SCRIPTS = 1, 2, 3
_LATIN_LEAD_BYTES = range(0xC3, 0xCA)
"""The first bytes in UTF-8 of Latin letters with marks, which are then in two bytes."""


def _kind_of(byte: int) -> int:
    if byte < 0x80:
        return _LETTERS if chr(byte).isalpha() else _DIGITS if chr(byte).isdigit() else 0
    if byte < 0xC0:
        return 0
    return _LETTERS if byte in _LATIN_LEAD_BYTES else _OTHER_SCRIPTS


_KINDS = np.array([_kind_of(byte) for byte in range(256)], np.uint8)
_IS_CHARACTER = np.array([byte & 0xC0 != 0x80 for byte in range(256)])


def text_aspects(texts: Texts, words: bytes) -> dict[str, Array]:
    """Return float32[texts] of each aspect; `words` has the bits of the reference's, see `word_bits`.

    Length is in characters; shares are of characters, and of words for those that are unseen; 0 without any.
    """
    data = np.frombuffer(texts.data, np.uint8)
    offsets = texts.offsets.astype(np.int64)
    characters = _sums(_IS_CHARACTER[data], offsets)
    kinds = _KINDS[data]
    found: dict[str, Array] = {"length": characters.astype(np.float32)}
    aspects: tuple[tuple[str, int], ...] = (
        ("letters", _LETTERS),
        ("digits", _DIGITS),
        ("other_scripts", _OTHER_SCRIPTS),
    )
    for aspect, kind in aspects:
        found[aspect] = _share(_sums(kinds == kind, offsets), characters)
    found["unseen"] = _unseen(texts, words)
    return found


def word_bits(texts: Texts, least_texts: int = 1) -> bytes:
    """Return a table in which the bit of each word is set that is in so many of the texts."""
    table = np.zeros(WORD_BITS // 8, np.uint8)
    hashes, where = word_hashes(texts)
    words = (hashes % np.uint64(WORD_BITS)).astype(np.int64)
    places, counts = np.unique(
        np.unique(words * len(texts) + where) // max(1, len(texts)), return_counts=True
    )
    places = places[counts >= least_texts]
    np.bitwise_or.at(table, places // 8, (1 << places % 8).astype(np.uint8))
    return table.tobytes()


def wide_aspect(rows: Array, aspect: str, projection: int = 0) -> Array:
    """Return float32[rows] of rows of values [rows, values]; NaN where a row has no finite value.

    A projection is the mean of the row's values, each with a sign that its place and `projection` decide for
    ever, times the root of their number.
    """
    values = rows.astype(np.float32)
    finite = np.isfinite(values)
    count = finite.sum(axis=1)
    values[~finite] = 0
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        mean = values.sum(axis=1, dtype=np.float64) / count
        if aspect == "mean":
            found = mean
        elif aspect == "sd":
            squares = np.einsum("ij,ij->i", values, values, dtype=np.float64) / count
            found = np.sqrt(np.maximum(squares - mean**2, 0))
        elif aspect == "projection":
            found = values @ _signs(projection, values.shape[1]) / np.sqrt(count)
        else:
            found = _extreme(values, finite, aspect)
        return np.where(count > 0, found, np.nan).astype(np.float32)


def _signs(projection: int, size: int) -> Array:
    return np.random.default_rng(projection).choice(np.array([-1, 1], np.float32), size)


def _extreme(values: Array, finite: Array, aspect: str) -> Array:
    if aspect == "min":
        return np.asarray(np.min(values, axis=1, where=finite, initial=np.inf))
    return np.asarray(np.max(values, axis=1, where=finite, initial=-np.inf))


def _sums(flags: Array, offsets: Array) -> Array:
    totals = np.concatenate(([0], np.cumsum(flags)))
    return totals[offsets[1:]] - totals[offsets[:-1]]


def _share(part: Array, whole: Array) -> Array:
    return (part / np.maximum(whole, 1)).astype(np.float32)


def _unseen(texts: Texts, words: bytes) -> Array:
    hashes, where = word_hashes(texts)
    table = np.frombuffer(words or bytes(WORD_BITS // 8), np.uint8)
    places = (hashes % np.uint64(WORD_BITS)).astype(np.int64)
    unseen = (table[places // 8] >> (places % 8).astype(np.uint8)) & 1 == 0
    count = len(texts)
    return _share(np.bincount(where, unseen, count), np.bincount(where, minlength=count))
