"""What people state about columns and task, in a file or in Python: it overrides what was inferred.

The fields are those of `Column` and `Task`; a field that is left out keeps its inferred value.
"""

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from driftgate.models.errors import InvalidManifest
from driftgate.models.schema.manifest import Column, Label, Task, TaskOutput

T = TypeVar("T")


class StatedColumn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is stated about one column. A name that is new renames the column at `input` and `index`."""

    name: str
    input: str | UnsetType = UNSET
    index: int | UnsetType | None = UNSET
    datatype: str | UnsetType = UNSET
    unit: str | UnsetType | None = UNSET
    description: str | UnsetType | None = UNSET
    categories: tuple[Label, ...] | UnsetType | None = UNSET
    missing: bool | UnsetType = UNSET
    missing_token: str | UnsetType | None = UNSET


class StatedTask(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is stated about the task; `outputs` change the role of those that they name."""

    type: Literal["classification", "regression", "other"] | UnsetType = UNSET
    outputs: tuple[TaskOutput, ...] | UnsetType = UNSET
    classes: tuple[Label, ...] | UnsetType | None = UNSET
    positive_class: Label | UnsetType | None = UNSET
    threshold: float | UnsetType | None = UNSET
    label_name: str | UnsetType | None = UNSET


class _ColumnsFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    columns: tuple[StatedColumn, ...]


def read_columns(path: Path) -> tuple[StatedColumn, ...]:
    """Read a columns file: JSON (a list, or `{"columns": [...]}`) or TOML (`[[columns]]`).

    Raises InvalidManifest that names the file and the field.
    """
    document = _read(path)
    wrapped = {"columns": document} if isinstance(document, list) else document
    return _converted(wrapped, _ColumnsFile, str(path)).columns


def read_task(path: Path) -> StatedTask:
    """Read a task file, JSON or TOML; raise InvalidManifest that names the file and the field."""
    return _converted(_read(path), StatedTask, str(path))


def stated_columns(given: Sequence[Any] | None) -> tuple[StatedColumn, ...]:
    """Return columns that were given in Python (`Column`, `StatedColumn` or mappings) as stated ones.

    Raises InvalidManifest that names the field.
    """
    return tuple(_converted(_plain(column), StatedColumn, "columns") for column in given or ())


def stated_task(given: Any) -> StatedTask:
    """Return a task given in Python (`Task`, `StatedTask`, a mapping or None) as a stated one."""
    return _converted(_plain(given) if given is not None else {}, StatedTask, "task")


def with_stated_columns(inferred: Sequence[Column], stated: Sequence[StatedColumn]) -> tuple[Column, ...]:
    """Return the inferred columns with what is stated; raise InvalidManifest for one that matches none."""
    columns = list(inferred)
    for statement in stated:
        place = _place_of(statement, columns)
        columns[place] = msgspec.structs.replace(columns[place], **_set_fields(statement))
    return tuple(columns)


def with_stated_task(inferred: Task, stated: StatedTask) -> Task:
    """Return the inferred task with what is stated; raise InvalidManifest for an output that is none."""
    changes = _set_fields(stated)
    roles = {output.name: output for output in changes.pop("outputs", ())}
    known = {output.name for output in inferred.outputs}
    for name in roles:
        if name not in known:
            raise InvalidManifest(f"task: outputs: {name!r} is none of the model's: {_listed(known)}")
    outputs = tuple(roles.get(output.name, output) for output in inferred.outputs)
    return msgspec.structs.replace(inferred, outputs=outputs, **changes)


def _place_of(stated: StatedColumn, columns: Sequence[Column]) -> int:
    for place, column in enumerate(columns):
        if column.name == stated.name:
            return place
    for place, column in enumerate(columns):
        if column.input == stated.input and stated.index in (UNSET, column.index):
            return place
    raise InvalidManifest(
        f"columns: {stated.name!r} is none of the model's columns: {_listed(c.name for c in columns)}. "
        "To rename a column, state its input and index"
    )


def _set_fields(stated: msgspec.Struct) -> dict[str, Any]:
    fields = msgspec.structs.asdict(stated)
    return {name: value for name, value in fields.items() if value is not UNSET}


def _plain(given: Any) -> Any:
    """Return a struct as the fields that were set, for checking them again under the stated type."""
    if isinstance(given, StatedColumn | StatedTask):
        return _set_fields(given)
    if isinstance(given, msgspec.Struct):
        return msgspec.to_builtins(given)
    return dict(given) if isinstance(given, Mapping) else given


def _read(path: Path) -> Any:
    try:
        data = path.read_bytes()
        return tomllib.loads(data.decode()) if path.suffix == ".toml" else msgspec.json.decode(data)
    except OSError as error:
        raise InvalidManifest(f"{path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidManifest(f"{path}: {error}") from error


def _converted(document: Any, kind: type[T], source: str) -> T:
    try:
        return msgspec.convert(document, kind)
    except msgspec.ValidationError as error:
        raise InvalidManifest(f"{source}: {error}") from error


def _listed(names: Any) -> str:
    found = sorted(names)
    return ", ".join(found[:10]) + (f" and {len(found) - 10} more" if len(found) > 10 else "")
