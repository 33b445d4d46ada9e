"""`examples.npz`: golden rows and the outputs that a faithful copy of the model gives for them.

Plain arrays in an uncompressed archive: nothing is unpickled, and no array is longer than its file.
"""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO

import numpy as np

from driftgate.models.errors import InvalidManifest
from driftgate.models.schema.elements import Array

MAX_ROWS = 64

_INPUT = "input:"
_OUTPUT = "output:"
_HEADER_READERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def save_examples(path: Path, inputs: Mapping[str, Array], outputs: Mapping[str, Array]) -> None:
    """Write inputs and outputs by name; equal arrays make equal bytes. Strings are kept as numpy `U`.

    Raises InvalidManifest for an array that is neither numbers, booleans nor text.
    """
    arrays = {_INPUT + name: _storable(name, array) for name, array in inputs.items()}
    arrays |= {_OUTPUT + name: _storable(name, array) for name, array in outputs.items()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for key, array in arrays.items():
            with archive.open(zipfile.ZipInfo(f"{key}.npy"), "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


def load_examples(path: Path) -> tuple[dict[str, Array], dict[str, Array]]:
    """Return the inputs and outputs in `path`, strings as object arrays.

    Raises InvalidManifest if the file is malformed.
    """
    inputs: dict[str, Array] = {}
    outputs: dict[str, Array] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                key = info.filename.removesuffix(".npy")
                side = inputs if key.startswith(_INPUT) else outputs
                side[key.partition(":")[2]] = _read(archive, info)
    except (OSError, EOFError, ValueError, KeyError, RuntimeError, zipfile.BadZipFile) as error:
        raise InvalidManifest(f"{path.name} is not a file of golden examples: {error}") from error
    return inputs, outputs


def first_rows(arrays: Mapping[str, Array], rows: int = MAX_ROWS) -> dict[str, Array]:
    """Return the first `rows` rows of every array."""
    return {name: array[:rows] for name, array in arrays.items()}


def _storable(name: str, array: Array) -> Array:
    if array.dtype.kind == "O":
        if not all(isinstance(value, str) for value in array.flat):
            raise InvalidManifest(f"examples: {name!r} holds values that are not text, such as None")
        return array.astype(str)
    if array.dtype.kind not in "biufU":
        raise InvalidManifest(f"examples: {name!r} has dtype {array.dtype}; use numbers, booleans or text")
    return np.ascontiguousarray(array)


def _read(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Array:
    if info.compress_type != zipfile.ZIP_STORED or not info.filename.startswith((_INPUT, _OUTPUT)):
        raise ValueError(f"unexpected member {info.filename[:80]!r}")
    with archive.open(info) as member:
        _check_size(member, info.file_size)
    with archive.open(info) as member:
        array: Array = np.lib.format.read_array(member, allow_pickle=False)
    return array.astype(object) if array.dtype.kind == "U" else array


def _check_size(member: IO[bytes], size_bytes: int) -> None:
    """Refuse a header that promises more than the file holds, before memory is taken for it."""
    version = np.lib.format.read_magic(member)
    if version not in _HEADER_READERS:
        raise ValueError(f"array format {version}")
    shape, _, dtype = _HEADER_READERS[version](member)
    if dtype.hasobject:
        raise ValueError("an array of Python objects")
    elements = 1
    for dimension in shape:
        elements *= dimension
    if elements * dtype.itemsize > size_bytes:
        raise ValueError("an array longer than the file")
