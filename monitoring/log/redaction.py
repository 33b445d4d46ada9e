"""What of a turn's arrays is kept: columns dropped or hashed, long texts cut, wide tensors left out. Pure.

What is done with an array follows from its type and the shape of its rows alone, never from what it holds, so
it is decided once for all arrays of that kind.
"""

from collections.abc import Iterable
from hashlib import blake2b
from math import prod
from typing import Any, NamedTuple

import numpy as np

from driftgate.monitoring.log.columns import as_text, holds_texts
from driftgate.monitoring.log.policy import ModelLogPolicy
from driftgate.monitoring.log.record import Array, TensorColumns

KEY_HASH_BYTES = 16
NO_KEY = bytes(KEY_HASH_BYTES)
CUT = "…[{} bytes]"
_SPREAD = np.uint64(0x9E3779B97F4A7C15)


class ArrayKind(NamedTuple):
    """What is known of an array before any row is looked at."""

    name: str
    dtype: "np.dtype[Any]"
    row_shape: tuple[int, ...]


class Treatment(NamedTuple):
    """What is recorded of the array `name`: all of it, or the columns at `indices`; hashed or as it is."""

    name: str
    columns: TensorColumns
    indices: tuple[int, ...] | None = None
    hashed: bool = False


def keyed_hash(key: bytes, secret: bytes) -> bytes:
    """Return the hash under which a client's key is stored; the same key has the same hash everywhere."""
    return blake2b(key, digest_size=KEY_HASH_BYTES, key=secret).digest()


def keyed_hashes(keys: Iterable[bytes], secret: bytes) -> bytes:
    """Return the hashes of many keys, one after the other; of an empty key zeros, for there is none."""
    keyed = blake2b(digest_size=KEY_HASH_BYTES, key=secret)
    hashes = []
    for key in keys:
        # A copy has the secret taken in already, which is most of the work.
        one = keyed.copy()
        one.update(key)
        hashes.append(one.digest() if key else NO_KEY)
    return b"".join(hashes)


def treatments(
    described: tuple[TensorColumns, ...], kinds: Iterable[ArrayKind], policy: ModelLogPolicy
) -> tuple[list[Treatment], list[str]]:
    """Return what is recorded of arrays whose rows lie along the first axis, and the names left out."""
    names = {tensor.name: tensor for tensor in described}
    chosen: list[Treatment] = []
    omitted: list[str] = []
    for kind in kinds:
        tensor = names.get(kind.name, TensorColumns(kind.name))
        too_wide = kind.dtype.itemsize * prod(kind.row_shape) > policy.max_row_bytes
        if kind.name in policy.drop or too_wide or _is_beyond_us(tensor, kind.row_shape, policy):
            omitted.append(kind.name)
            continue
        chosen += _of_tensor(tensor, policy)
        omitted += [column for column in tensor.columns if column in policy.drop]
    return chosen, omitted


def treated(array: Array, treatment: Treatment, policy: ModelLogPolicy, secret: bytes) -> Array:
    """Return what is recorded of an array."""
    if treatment.indices is not None:
        array = array.reshape(len(array), prod(array.shape[1:]))[:, treatment.indices]
    return _hashed(array, secret) if treatment.hashed else _cut_texts(array, policy.max_text_bytes)


def sampled(prediction_ids: bytes, share: float) -> Array:
    """Return which of the predictions (16 bytes each) keep their payload: the same ones in every process."""
    halves = np.frombuffer(prediction_ids, "<u8").reshape(-1, 2)
    with np.errstate(over="ignore"):
        mixed = (halves[:, 0] ^ np.uint64(0x5851F42D4C957F2D)) * _SPREAD
        mixed = ((mixed >> np.uint64(32)) ^ mixed ^ halves[:, 1]) * _SPREAD
        mixed = ((mixed >> np.uint64(29)) ^ mixed) * _SPREAD
    return np.asarray((mixed >> np.uint64(11)) < np.uint64(share * 2**53))


def _is_beyond_us(tensor: TensorColumns, row_shape: tuple[int, ...], policy: ModelLogPolicy) -> bool:
    """Tell whether columns are to be hidden in an array that is not made of them: then none of it is kept."""
    asked = tensor.name in policy.hash or not (policy.drop | policy.hash).isdisjoint(tensor.columns)
    return asked and bool(tensor.columns) and (len(row_shape) > 1 or prod(row_shape) != len(tensor.columns))


def _of_tensor(tensor: TensorColumns, policy: ModelLogPolicy) -> list[Treatment]:
    whole = tensor.name in policy.hash
    if not whole and (policy.drop | policy.hash).isdisjoint(tensor.columns):
        return [Treatment(tensor.name, tensor)]
    if not tensor.columns:
        return [Treatment(tensor.name, tensor, hashed=True)]
    left = [(index, name) for index, name in enumerate(tensor.columns) if name not in policy.drop]
    hashed = tuple(index for index, name in left if whole or name in policy.hash)
    plain = tuple(index for index, _ in left if index not in hashed)
    parts = ((plain, False), (hashed, True))
    return [Treatment(tensor.name, _part(tensor, part), part, is_hashed) for part, is_hashed in parts if part]


def _part(tensor: TensorColumns, indices: tuple[int, ...]) -> TensorColumns:
    return TensorColumns(tensor.name, tuple(tensor.columns[i] for i in indices), tensor.role)


def _hashed(array: Array, secret: bytes) -> Array:
    texts = map(as_text, array.ravel().tolist())
    hashes = [keyed_hash(text.encode("utf-8", "backslashreplace"), secret).hex() for text in texts]
    return _of_objects(hashes, array.shape)


def _cut_texts(array: Array, most: int) -> Array:
    if not holds_texts(array.dtype):
        return array
    values = array.ravel().tolist()
    try:
        longest = max(map(len, values), default=0)
    except TypeError:
        longest = most + 1
    if longest * 4 <= most:
        return array
    return _of_objects([cut(as_text(value), most) for value in values], array.shape)


def cut(text: str, most_bytes: int) -> str:
    """Return a text of at most `most_bytes`, else its beginning and how long it was."""
    data = text.encode("utf-8", "backslashreplace")
    if len(data) <= most_bytes:
        return text
    return data[:most_bytes].decode("utf-8", "ignore") + CUT.format(len(data))


def _of_objects(values: list[str], shape: tuple[int, ...]) -> Array:
    array = np.empty(len(values), object)
    array[:] = values
    return array.reshape(shape)
