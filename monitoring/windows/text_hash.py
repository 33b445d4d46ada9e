"""Hashes of texts in one buffer, eight bytes at a time, all texts at once. Pure.

The hashes find equal texts and are not keyed: who can choose texts can choose collisions, which then count as
the same value.
"""

import numpy as np

from driftgate.monitoring.log.columns import Texts
from driftgate.monitoring.log.record import Array

_WORD_BYTES = 8
_MULTIPLIERS = np.random.default_rng(0x5EED).integers(0, 2**63, 64, np.uint64) * np.uint64(2) + np.uint64(1)
_FINAL = np.uint64(0x9E3779B97F4A7C15)
_MASKS = np.array([(1 << 8 * size) - 1 for size in range(_WORD_BYTES + 1)], np.uint64)
_IN_WORD = np.array([chr(byte).isalnum() or byte >= 0x80 for byte in range(256)])
_UPPER = np.array([byte | 0x20 if 0x41 <= byte <= 0x5A else byte for byte in range(256)], np.uint8)


def text_hashes(texts: Texts) -> Array:
    """Return uint64[texts]: equal for equal texts, and hardly ever for others."""
    offsets = texts.offsets.astype(np.int64)
    return hashes_at(texts.data, offsets[:-1], np.diff(offsets))


def hash_of(text: str) -> int:
    """Return the hash of one text."""
    data = text.encode("utf-8", "backslashreplace")
    return int(hashes_at(data, np.zeros(1, np.int64), np.array([len(data)]))[0])


def hashes_at(data: bytes, starts: Array, lengths: Array) -> Array:
    """Return uint64[texts] of the texts that begin at `starts` and have so many bytes."""
    hashes = (lengths.astype(np.uint64) + np.uint64(1)) * _FINAL
    padded = data + bytes(_WORD_BYTES)
    # Words that overlap, one from each byte on, so that one look-up reads eight bytes of every text
    words = np.ndarray((len(data) + 1,), "<u8", padded, strides=(1,))
    rows = np.arange(len(starts))
    place = 0
    while True:
        rows = rows[lengths[rows] > place] if place else rows
        if not len(rows):
            return hashes
        left = np.minimum(lengths[rows] - place, _WORD_BYTES)
        word = words[starts[rows] + place] & _MASKS[left]
        hashes[rows] += _mixed(word * _MULTIPLIERS[place // _WORD_BYTES % len(_MULTIPLIERS)])
        place += _WORD_BYTES


def word_hashes(texts: Texts) -> tuple[Array, Array]:
    """Return the hashes of the words of texts, without regard to ASCII case, and the text that each is in."""
    data = _UPPER[np.frombuffer(texts.data, np.uint8)]
    inside = np.concatenate(([False], _IN_WORD[data], [False]))
    offsets = texts.offsets.astype(np.int64)
    begins = inside[1:-1] & ~inside[:-2]
    ends = inside[1:-1] & ~inside[2:]
    edges = offsets[1:-1]
    first = edges[edges < len(data)]
    begins[first] = inside[1:-1][first]
    last = edges[edges > 0] - 1
    ends[last] = inside[1:-1][last]
    starts, stops = np.flatnonzero(begins), np.flatnonzero(ends) + 1
    where = np.searchsorted(offsets, starts, side="right") - 1
    return hashes_at(data.tobytes(), starts, stops - starts), where


def _mixed(values: Array) -> Array:
    values ^= values >> np.uint64(29)
    values *= _FINAL
    values ^= values >> np.uint64(32)
    return values
