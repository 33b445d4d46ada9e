"""Declarations of feature views: TOML files kept with the registry, or Python; errors name the line.

`<registry>/_features/<view>.toml` declares one view, named as its file. A Python file is run, so it is read
only by the command that declares views, never by a gateway.
"""

import json
import math
import os
import re
import runpy
import tomllib
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, get_args

import msgspec

from driftgate.features.durable import replace_file
from driftgate.features.errors import InvalidView, StoreUnavailable
from driftgate.features.views.view import (
    VIEW_NAME,
    Dtype,
    FeatureView,
    KeyDtype,
    OnMissing,
    OnStale,
    check_view,
)

VIEWS_DIRECTORY = "_features"
"""No model can have this name."""
SUFFIX = ".toml"
MAX_DECLARATION_BYTES = 2**20
_WORDS: Mapping[str, Any] = {"dtype": Dtype, "on_missing": OnMissing, "on_stale": OnStale}


class DeclaredViews(NamedTuple):
    """The views of a registry by name, and what is wrong with the declarations that cannot be used."""

    views: Mapping[str, FeatureView]
    problems: Mapping[str, str]


def declared_views(registry: Path) -> DeclaredViews:
    """Return the views that a registry declares; without the directory there are none.

    Raises StoreUnavailable where the directory cannot be listed.
    """
    views: dict[str, FeatureView] = {}
    problems: dict[str, str] = {}
    try:
        files = sorted(path for path in (registry / VIEWS_DIRECTORY).iterdir() if path.suffix == SUFFIX)
    except FileNotFoundError:
        return DeclaredViews({}, {})
    except OSError as error:
        raise StoreUnavailable(f"the feature views cannot be listed: {error.strerror}") from error
    for path in files:
        if path.name.startswith("."):
            continue
        try:
            views[path.stem] = parse_view(_read(path), path.name, path.stem)
        except InvalidView as error:
            problems[path.stem] = str(error)
    return DeclaredViews(views, problems)


def declared_view(registry: Path, name: str) -> FeatureView:
    """Return one view of a registry; raise InvalidView if it is not declared, or not soundly."""
    if not VIEW_NAME.fullmatch(name):
        raise InvalidView(f"{name[:140]!r} cannot name a view")
    path = registry / VIEWS_DIRECTORY / f"{name}{SUFFIX}"
    return parse_view(_read(path), path.name, name)


def parse_view(text: str, source: str, name: str = "") -> FeatureView:
    """Return the checked view in a TOML text; raise InvalidView naming `source` and the line.

    `name` is the view's where the text gives none; where it gives another one, that is an error.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidView(f"{source}: {error}") from error
    if document.setdefault("name", name) != name and name:
        raise InvalidView(
            f"{source}, line {_line_of(text, 'name')}: the file is called {name!r}; so is its view"
        )
    try:
        return check_view(msgspec.convert(document, FeatureView))
    except (msgspec.ValidationError, InvalidView) as error:
        line = _line_of(text, _place_in(str(error)))
        raise InvalidView(f"{source}, line {line}: {error}{_choices(str(error))}") from error


def python_views(path: Path) -> list[FeatureView]:
    """Run a Python file and return the checked views that its variables hold; raise InvalidView."""
    try:
        found = runpy.run_path(os.fspath(path)).values()
    except (Exception, SystemExit) as error:  # the edge to somebody else's code
        lines = [
            frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)
        ]
        line = error.lineno if isinstance(error, SyntaxError) else (lines or [1])[-1]
        raise InvalidView(f"{path.name}, line {line}: {type(error).__name__}: {error}") from error
    views = list(dict.fromkeys(value for value in found if isinstance(value, FeatureView)))
    if not views:
        raise InvalidView(f"{path.name}: no variable holds a FeatureView")
    for view in views:
        try:
            # Python checks no types: reading what was made is what checks them.
            check_view(msgspec.convert(msgspec.to_builtins(view), FeatureView))
        except (msgspec.ValidationError, InvalidView) as error:
            problem = f"{path.name}, view {view.name!r}: {error}{_choices(str(error))}"
            raise InvalidView(problem) from error
    return views


def write_view(registry: Path, view: FeatureView) -> Path:
    """Declare a view in a registry, replacing an earlier declaration whole and durably; raises OSError."""
    directory = registry / VIEWS_DIRECTORY
    directory.mkdir(exist_ok=True)
    path = directory / f"{view.name}{SUFFIX}"
    replace_file(path, view_text(view).encode(), mode=0o644)
    return path


def view_text(view: FeatureView) -> str:
    """Return a TOML text that `parse_view` reads back as `view`."""
    document: dict[str, Any] = msgspec.to_builtins(view)
    parts = [(f"[[{name}]]", item) for name in ("join_keys", "features") for item in document.pop(name)]
    lines = _assignments(document)
    for header, item in parts:
        lines += ["", header, *_assignments(item)]
    return "\n".join(lines) + "\n"


def _read(path: Path) -> str:
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            data = file.read(MAX_DECLARATION_BYTES + 1)
    except FileNotFoundError:
        raise InvalidView(
            f"no view {path.stem!r} is declared; its declaration would be {VIEWS_DIRECTORY}/{path.name}"
        ) from None
    except OSError as error:
        raise InvalidView(f"{path.name} cannot be read: {error.strerror}") from error
    if len(data) > MAX_DECLARATION_BYTES:
        raise InvalidView(f"{path.name} is larger than {MAX_DECLARATION_BYTES} bytes")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise InvalidView(f"{path.name} is not UTF-8 text") from None


def _assignments(values: Mapping[str, Any]) -> list[str]:
    return [f"{name} = {_toml(value)}" for name, value in values.items() if value is not None]


def _toml(value: Any) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if math.isnan(value) else ("inf" if value > 0 else "-inf")
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _place_in(problem: str) -> str:
    """Return the place that a problem speaks of, like `features[1].dtype`."""
    unknown = re.search(r"unknown field `([^`]+)`", problem)
    at = re.search(r"`\$\.?([^`]*)`", problem)
    place = at.group(1) if at else ("" if "`" in problem else problem.partition(":")[0])
    return f"{place}.{unknown.group(1)}".strip(".") if unknown else place


def _choices(problem: str) -> str:
    """Return what may stand in the place of a word that may not, to go on with."""
    if "Invalid enum value" not in problem:
        return ""
    place = _place_in(problem)
    words = KeyDtype if place.startswith("join_keys") else _WORDS.get(place.rpartition(".")[2])
    return f"; one of {', '.join(get_args(words))} is needed" if words else ""


def _line_of(text: str, place: str) -> int:
    """Return the line of a place: that of its key, else that of its table, else 1."""
    table, _, key = place.rpartition(".")
    name, _, index = (table or key).partition("[")
    wanted = int(index.rstrip("]")) if index else -1
    lines = text.splitlines()
    at, seen = 0, -1
    for number, line in enumerate(lines, start=1):
        header = re.match(r"\s*\[+\s*([^\]]+?)\s*\]+\s*(#.*)?$", line)
        if header:
            seen += header.group(1) == name
            if header.group(1) == name and seen == wanted:
                at = number
            elif at:
                break
        inside = at if table else not any(re.match(r"\s*\[", before) for before in lines[: number - 1])
        if inside and re.match(rf"\s*[\"']?{re.escape(key)}[\"']?\s*=", line):
            return number
    return at or _first_mention(lines, name)


def _first_mention(lines: list[str], name: str) -> int:
    pattern = re.compile(rf"\s*(\[+\s*)?[\"']?{re.escape(name)}\b")
    return next((number for number, line in enumerate(lines, start=1) if pattern.match(line)), 1)
