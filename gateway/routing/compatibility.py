"""Whether one version accepts what another's clients send. Pure.

The new version must take the same inputs; what it adds must be optional (every added column may be missing).
"""

from collections.abc import Iterator

from driftgate.models.schema.client_manifest import client_manifest
from driftgate.models.schema.manifest import Column, Manifest
from driftgate.models.schema.signature import TensorSpec

MAX_NAMED = 8


def incompatibilities(stable: Manifest, new: Manifest) -> tuple[str, ...]:
    """Return why requests made for `stable` would fail or change meaning with `new`; empty if they fit."""
    return row_incompatibilities(client_manifest(stable), client_manifest(new))


def row_incompatibilities(stable: Manifest, new: Manifest) -> tuple[str, ...]:
    """Return why the rows of the model of `stable`, features included, would not do for that of `new`."""
    found = list(_input_differences(stable, new))
    found += _column_differences(stable, new)
    if len(found) > MAX_NAMED:
        found = [*found[:MAX_NAMED], f"and {len(found) - MAX_NAMED} more"]
    return tuple(found)


def _input_differences(stable: Manifest, new: Manifest) -> Iterator[str]:
    for spec in stable.signature.inputs:
        other = new.signature.input(spec.name)
        if other is None:
            yield f"input {spec.name!r} is gone"
        elif other.datatype != spec.datatype:
            yield f"input {spec.name!r} is {other.datatype} instead of {spec.datatype}"
        elif not _accepts(other, spec):
            yield f"input {spec.name!r} has shape {list(other.shape)} instead of {list(spec.shape)}"
    for spec in new.signature.inputs:
        if stable.signature.input(spec.name) is None and not _optional(new, spec):
            yield f"input {spec.name!r} is new and required"


def _accepts(new: TensorSpec, stable: TensorSpec) -> bool:
    """Whether every shape that `stable` takes is one that `new` takes."""
    return len(new.shape) == len(stable.shape) and all(
        ours in (-1, theirs) for ours, theirs in zip(new.shape, stable.shape, strict=True)
    )


def _optional(manifest: Manifest, spec: TensorSpec) -> bool:
    columns = [column for column in manifest.columns if column.input == spec.name]
    return bool(columns) and all(column.missing for column in columns)


def _column_differences(stable: Manifest, new: Manifest) -> Iterator[str]:
    before, after = _by_name(stable), _by_name(new)
    for name, column in before.items():
        other = after.get(name)
        if other is None:
            yield f"column {name!r} is gone"
        elif (other.input, other.index) != (column.input, column.index):
            yield f"column {name!r} has moved from {_place(column)} to {_place(other)}"
        elif other.datatype != column.datatype:
            yield f"column {name!r} is {other.datatype} instead of {column.datatype}"
        elif column.missing and not other.missing:
            yield f"column {name!r} may no longer be missing"
    for name, column in after.items():
        if name not in before and not column.missing:
            yield f"column {name!r} is new and required"


def _by_name(manifest: Manifest) -> dict[str, Column]:
    return {column.name: column for column in manifest.columns}


def _place(column: Column) -> str:
    return column.input if column.index is None else f"{column.input}[{column.index}]"
