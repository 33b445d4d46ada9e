"""The routing key that a request carries among its inputs: where it is, and its bytes. Pure.

A value has the same bytes in every protocol, since they are taken from the arrays: texts as UTF-8, whole
numbers in decimal, so that an operator can type them.
"""

from typing import NamedTuple

import numpy as np

from driftgate.gateway.state.desired import KeySource
from driftgate.gateway.wire.inference import InferenceRequest
from driftgate.models.schema.client_manifest import client_manifest
from driftgate.models.schema.manifest import Manifest


class KeyPlace(NamedTuple):
    """The element of a request's first row that is its key."""

    input: str
    element: int = 0


def key_place(source: KeySource, manifest: Manifest) -> KeyPlace | None:
    """Return where the input or column that `source` names is, or None if it names none of this version."""
    if source.kind != "input":
        return None
    manifest = client_manifest(manifest)
    for column in manifest.columns:
        if column.name == source.name:
            return KeyPlace(column.input, column.index or 0)
    spec = manifest.signature.input(source.name)
    return KeyPlace(spec.name) if spec is not None and spec.row_size == 1 else None


def key_at(place: KeyPlace, request: InferenceRequest) -> bytes:
    """Return the bytes of the key; b"" where the value is missing."""
    array = request.inputs.get(place.input)
    if array is None or array.size <= place.element:
        return b""
    value = array.flat[place.element]
    return as_key(value.item() if isinstance(value, np.generic) else value)


def as_key(value: object) -> bytes:
    """Return a value's bytes as a key; b"" for none and for what is no number."""
    if value is None or value != value:
        return b""
    if isinstance(value, bytes):
        return value
    if isinstance(value, float) and value.is_integer():
        return b"%d" % value
    return str(value).encode("utf-8", "backslashreplace")
