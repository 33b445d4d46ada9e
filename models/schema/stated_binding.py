"""The binding that people state, in a TOML file or in Python, as the one that goes into the manifest.

```
[[views]]
view = "plane"
keys = { tailnum = "tailnum" }            # join key of the view = key that clients send
features = ["engine", "plane_year"]       # or { feature = "column" }, or { vector = ["e0", "e1"] }
overridable = ["plane_year"]              # features that a request may send itself

[keys.tailnum]                            # may be left out
type = "string"                           # or "int64"; what the view declares, else "string"
```
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from driftgate.models.errors import InvalidManifest
from driftgate.models.schema.binding import (
    BindingProblem,
    BoundFeature,
    BoundKey,
    BoundView,
    FeatureBinding,
    KeyType,
)

_VIEW = re.compile(r"views\[(\d+)\]")
_FIELD = re.compile(r"`\$\.?[^`]*?([A-Za-z0-9_]+)(?:\[[^`]*\])?`|field `([^`]+)`")
_VIEW_HEADER = re.compile(r"\s*\[\[\s*views\s*\]\]")


class _StatedKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    type: KeyType | None = None
    description: str | None = None
    example: str | int | None = None


class _StatedView(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    view: str
    keys: dict[str, str]
    features: list[str] | dict[str, str | list[str]]
    overridable: list[str] = []


class _Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    views: list[_StatedView]
    keys: dict[str, _StatedKey] = {}


@dataclass(frozen=True)
class StatedBinding:
    """A binding as stated. `untyped` are keys whose type was not; `text` is that of the file `source`."""

    binding: FeatureBinding
    untyped: frozenset[str] = frozenset()
    source: str = "features"
    text: str = ""

    def error(self, problem: BindingProblem) -> InvalidManifest:
        """Return the error that tells of a problem, and of the line that it is on."""
        line = _line_of(self.text, problem.view, problem.word)
        return InvalidManifest(f"{self.source}{f', line {line}' if line else ''}: {problem.text}")


def read_binding(path: Path) -> StatedBinding:
    """Read a binding file; raise InvalidManifest that names file, line and field."""
    try:
        text = path.read_text()
        document = tomllib.loads(text)
    except OSError as error:
        raise InvalidManifest(f"{path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidManifest(f"{path}: {error}") from error
    return _stated(document, str(path), text)


def stated_binding(given: Any) -> StatedBinding | None:
    """Return a binding given in Python: a path, a mapping as in the file, a FeatureBinding, or None."""
    if given is None or isinstance(given, StatedBinding):
        return given
    if isinstance(given, str | Path):
        return read_binding(Path(given))
    if isinstance(given, FeatureBinding):
        return StatedBinding(given)
    return _stated(dict(given) if isinstance(given, Mapping) else given, "features", "")


def _stated(document: Any, source: str, text: str) -> StatedBinding:
    try:
        stated = msgspec.convert(document, _Document)
    except msgspec.ValidationError as error:
        raise StatedBinding(FeatureBinding((), ()), frozenset(), source, text).error(_misfit(error)) from None
    names = dict.fromkeys([name for view in stated.views for name in view.keys.values()] + [*stated.keys])
    keys = {name: stated.keys.get(name, _StatedKey()) for name in names}
    binding = FeatureBinding(
        tuple(
            BoundKey(name, key.type or "string", key.description, key.example) for name, key in keys.items()
        ),
        tuple(map(_bound_view, stated.views)),
    )
    found = StatedBinding(
        binding, frozenset(name for name, key in keys.items() if not key.type), source, text
    )
    for number, view in enumerate(stated.views):
        for name in view.overridable:
            if name not in view.features:
                text = f"overridable: {name!r} is none of the features of view {view.view!r}"
                raise found.error(BindingProblem(text, number, name))
    return found


def _bound_view(view: _StatedView) -> BoundView:
    stated = view.features
    places = stated.items() if isinstance(stated, dict) else zip(stated, stated, strict=True)
    features = (
        BoundFeature(name, (to,) if isinstance(to, str) else tuple(to), name in view.overridable)
        for name, to in places
    )
    return BoundView(view.view, view.keys, tuple(features))


def _misfit(error: msgspec.ValidationError) -> BindingProblem:
    text = str(error)
    view, field = _VIEW.search(text), _FIELD.search(text)
    word = (field.group(2) or field.group(1)) if field else ""
    return BindingProblem(text, int(view.group(1)) if view else None, word)


def _line_of(text: str, view: int | None, word: str) -> int | None:
    """Return the first line with the word, in the block of the view of that number if there is one."""
    lines = text.splitlines()
    headers = [number for number, line in enumerate(lines, 1) if _VIEW_HEADER.match(line)]
    start, stop = 1, len(lines)
    if view is not None and view < len(headers):
        start = headers[view]
        stop = headers[view + 1] - 1 if view + 1 < len(headers) else len(lines)
    wanted = re.compile(rf"(?<![\w-]){re.escape(word)}(?![\w-])") if word else None
    for number in range(start, stop + 1):
        if wanted is not None and wanted.search(lines[number - 1].partition("#")[0]):
            return number
    return start if view is not None and headers else None
