"""What of a turn's arrays is kept: columns dropped or hashed, long texts cut, wide tensors left out. Pure."""

from collections.abc import Mapping
from hashlib import blake2b
from typing import NamedTuple

import numpy as np

from driftgate.monitoring.log_columns import as_text
from driftgate.monitoring.log_policy import ModelLogPolicy
from driftgate.monitoring.record import Array, TensorColumns

KEY_HASH_BYTES = 16
CUT = "…[{} bytes]"
_SPREAD = np.uint64(0x9E3779B97F4A7C15)


class Kept(NamedTuple):
    """An array that is recorded, and what it is called."""

    columns: TensorColumns
    array: Array


def keyed_hash(key: bytes, secret: bytes) -> bytes:
    """Return the hash under which a client's key is stored; the same key has the same hash everywhere."""
    return blake2b(key, digest_size=KEY_HASH_BYTES, key=secret).digest()


def kept_arrays(
    described: tuple[TensorColumns, ...], arrays: Mapping[str, Array], policy: ModelLogPolicy, secret: bytes
) -> tuple[list[Kept], list[str]]:
    """Return what is recorded of arrays whose rows lie along the first axis, and the names left out."""
    names = {tensor.name: tensor for tensor in described}
    kept: list[Kept] = []
    omitted: list[str] = []
    for name, array in arrays.items():
        tensor = names.get(name, TensorColumns(name))
        too_wide = array.nbytes > policy.max_row_bytes * len(array)
        if name in policy.drop or too_wide or _is_beyond_us(tensor, array, policy):
            omitted.append(name)
            continue
        kept += _of_tensor(tensor, array, policy, secret)
        omitted += [column for column in tensor.columns if column in policy.drop]
    return kept, omitted


def sampled(prediction_ids: bytes, share: float) -> Array:
    """Return which of the predictions (16 bytes each) keep their payload: the same ones in every process."""
    halves = np.frombuffer(prediction_ids, "<u8").reshape(-1, 2)
    with np.errstate(over="ignore"):
        mixed = (halves[:, 0] ^ np.uint64(0x5851F42D4C957F2D)) * _SPREAD
        mixed = ((mixed >> np.uint64(32)) ^ mixed ^ halves[:, 1]) * _SPREAD
        mixed = ((mixed >> np.uint64(29)) ^ mixed) * _SPREAD
    return np.asarray((mixed >> np.uint64(11)) < np.uint64(share * 2**53))


def _is_beyond_us(tensor: TensorColumns, array: Array, policy: ModelLogPolicy) -> bool:
    """Tell whether columns are to be hidden in an array that is not made of them: then none of it is kept."""
    asked = tensor.name in policy.hash or not (policy.drop | policy.hash).isdisjoint(tensor.columns)
    return (
        asked and bool(tensor.columns) and (array.ndim > 2 or array.size != len(array) * len(tensor.columns))
    )


def _of_tensor(tensor: TensorColumns, array: Array, policy: ModelLogPolicy, secret: bytes) -> list[Kept]:
    whole = tensor.name in policy.hash
    if not whole and (policy.drop | policy.hash).isdisjoint(tensor.columns):
        return [Kept(tensor, _cut_texts(array, policy.max_text_bytes))]
    if not tensor.columns:
        return [Kept(tensor, _hashed(array, secret))]
    left = [(index, name) for index, name in enumerate(tensor.columns) if name not in policy.drop]
    hashed = [index for index, name in left if whole or name in policy.hash]
    plain = [index for index, _ in left if index not in hashed]
    matrix = array.reshape(len(array), len(tensor.columns))
    kept = []
    if plain:
        kept.append(Kept(_part(tensor, plain), _cut_texts(matrix[:, plain], policy.max_text_bytes)))
    if hashed:
        kept.append(Kept(_part(tensor, hashed), _hashed(matrix[:, hashed], secret)))
    return kept


def _part(tensor: TensorColumns, indices: list[int]) -> TensorColumns:
    return TensorColumns(tensor.name, tuple(tensor.columns[i] for i in indices), tensor.role)


def _hashed(array: Array, secret: bytes) -> Array:
    texts = map(as_text, array.ravel().tolist())
    hashes = [keyed_hash(text.encode("utf-8", "backslashreplace"), secret).hex() for text in texts]
    return _of_objects(hashes, array.shape)


def _cut_texts(array: Array, most: int) -> Array:
    if array.dtype != object:
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
