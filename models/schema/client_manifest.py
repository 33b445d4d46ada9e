"""What clients see of a version that stored features complete: its manifest with their inputs in it. Pure.

Everything that reads requests or describes them is given this manifest; the model itself is run with its own.
"""

from collections.abc import Iterator

import msgspec

from driftgate.models.schema.binding import KEY_DATATYPES, BoundKey, FeatureBinding
from driftgate.models.schema.columns import named_inputs
from driftgate.models.schema.manifest import FORMAT, Column, Manifest
from driftgate.models.schema.signature import FLOATS, Signature, TensorSpec

ONE_PER_ROW = (-1, 1)
NOT_SENT = ""
"""What a text that may be overridden is where the request leaves it to the store; floats are NaN there.

Other types have no value for that: of them a request sends the whole input, or leaves it out.
"""

_Input = tuple[TensorSpec, tuple[Column, ...]]


def client_manifest(manifest: Manifest) -> Manifest:
    """Return the manifest of what clients send: request columns, then keys, then columns they may override.

    A matrix has its remaining columns left, in their order; an input whose columns are all stored is gone. A
    key is an input of its own, one value per row, unless a request column has its name; so is a column that
    may be overridden, which may be left out. Without a binding it is the manifest itself.
    """
    binding = manifest.features
    if binding is None:
        return manifest
    inputs = [
        *_request_inputs(manifest, binding),
        *map(_key_input, own_keys(manifest, binding)),
        *_override_inputs(manifest, binding),
    ]
    return msgspec.structs.replace(
        manifest,
        format=FORMAT,
        features=None,
        signature=Signature(tuple(spec for spec, _ in inputs), manifest.signature.outputs),
        columns=tuple(column for _, columns in inputs for column in columns),
    )


def optional_inputs(manifest: Manifest) -> frozenset[str]:
    """Return the names of the clients' inputs that a request may leave out."""
    binding = manifest.features
    return frozenset() if binding is None else binding.overridable


def own_keys(manifest: Manifest, binding: FeatureBinding) -> list[BoundKey]:
    """Return the keys that are inputs of their own, because no column of the request has their name."""
    names = {column.name for column in manifest.columns} - binding.filled
    return [key for key in binding.keys if key.name not in names]


def _request_inputs(manifest: Manifest, binding: FeatureBinding) -> Iterator[_Input]:
    filled = binding.filled
    for spec, columns in named_inputs(manifest):
        left = tuple(column for column in columns if column.name not in filled)
        if len(left) == len(columns):
            yield spec, tuple(column for column in manifest.columns if column.input == spec.name)
        elif left:
            narrower = TensorSpec(spec.name, spec.datatype, (-1, len(left)))
            placed = (msgspec.structs.replace(column, index=place) for place, column in enumerate(left))
            yield narrower, tuple(placed)


def _key_input(key: BoundKey) -> _Input:
    datatype = KEY_DATATYPES[key.type]
    column = Column(key.name, key.name, datatype, description=key.description)
    return TensorSpec(key.name, datatype, ONE_PER_ROW), (column,)


def _override_inputs(manifest: Manifest, binding: FeatureBinding) -> Iterator[_Input]:
    overridable = binding.overridable
    for column in manifest.columns:
        if column.name in overridable:
            own = msgspec.structs.replace(
                column,
                input=column.name,
                index=None,
                description=" ".join(filter(None, (column.description, _override_note(column.datatype)))),
                missing=True,
                missing_token=NOT_SENT if column.datatype == "BYTES" else None,
            )
            yield TensorSpec(column.name, column.datatype, ONE_PER_ROW), (own,)


def _override_note(datatype: str) -> str:
    if datatype in FLOATS or datatype == "BYTES":
        return "Looked up where it is not sent."
    return "Looked up where it is not sent; a request sends it in all rows or in none."
