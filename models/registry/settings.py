"""`model.toml`: owner, description and every per-model setting, edited by people, checked by line."""

import json
import re
import tomllib
from collections.abc import Iterator
from typing import Annotated, Any, Literal, NamedTuple

import msgspec

from driftgate.models.errors import InvalidSettings

SETTINGS_FILE = "model.toml"
MAX_SETTINGS_BYTES = 2**20

DEFAULT_SETTINGS = b"""\
# Settings of this model: edit and save, no restart is needed.
# owner: whom to ask; description: what it predicts, in one line.
owner = ""
description = ""

# Which versions are held in memory: latest = N (default 1), all = true, or specific = [3, 5].
# [versions]
# latest = 1
"""

Positive = Annotated[int, msgspec.Meta(ge=1)]
_UTC_OFFSET = re.compile(r"[+-](0\d|1[0-4]):[0-5]\d")


class VersionPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Which published versions are held in memory, beside those that something else needs.

    `latest = N` (default 1), `all = true`, or `specific = [3, 5]`; at most one of them.
    """

    latest: Positive | None = None
    all: bool = False
    specific: tuple[Positive, ...] | None = None

    def __post_init__(self) -> None:
        if (self.latest is not None) + self.all + (self.specific is not None) > 1:
            raise ValueError("set only one of latest, all and specific")

    def wanted(self, available: tuple[int, ...]) -> frozenset[int]:
        """Return which of the `available` versions this policy holds."""
        if self.all:
            return frozenset(available)
        if self.specific is not None:
            return frozenset(self.specific) & frozenset(available)
        return frozenset(sorted(available)[-(self.latest or 1) :])


class ModelLogSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What the prediction log keeps of this model.

    `sample` is the share of requests whose inputs and outputs are kept. Columns (or whole tensors) in `drop`
    are left out, those in `hash` are replaced by keyed hashes. Longer texts are cut and marked; a tensor of
    more bytes per row is left out.
    """

    sample: Annotated[float, msgspec.Meta(ge=0, le=1)] = 1.0
    drop: tuple[str, ...] = ()
    hash: tuple[str, ...] = ()
    max_text_bytes: Positive = 1024
    max_row_bytes: Positive = 65_536


class ModelAlertSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Who is told of this model's alerts: names of receivers in the settings of the process.

    Without names, those whose patterns fit the model and its owner. A version with traffic that is older than
    `max_age_days` is too old.
    """

    page: tuple[str, ...] = ()
    ticket: tuple[str, ...] = ()
    max_age_days: Positive | None = None


class ModelDriftSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How drift of this model is watched.

    `mode`: in "observe" (default) evidence is shown, and nobody is told before a version is armed; in "armed"
    every version is, from its first window on; "off" watches nothing. `tolerance` is a change of a share of
    rows that nobody minds. `thin`, where rows follow from each other: "entity" counts one row of each entity
    and window, "window" counts each window as one observation. Hours of the week are those of `utc_offset`.
    """

    mode: Literal["observe", "armed", "off"] = "observe"
    tolerance: Annotated[float, msgspec.Meta(ge=0, le=0.5)] = 0.0
    thin: Literal["none", "window", "entity"] = "none"
    utc_offset: str = "+00:00"

    def __post_init__(self) -> None:
        if not _UTC_OFFSET.fullmatch(self.utc_offset):
            raise ValueError(f'utc_offset: {self.utc_offset!r} is none; write one like "+02:00" or "-03:30"')

    @property
    def utc_offset_s(self) -> int:
        """The offset in seconds, east of Greenwich positive."""
        sign = -1 if self.utc_offset[0] == "-" else 1
        return sign * (int(self.utc_offset[1:3]) * 3600 + int(self.utc_offset[4:]) * 60)


class ModelSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Settings of one model; part of the desired state.

    `promote = "auto"` gives a newer version all traffic as soon as every worker holds it; the default
    `"manual"` waits for an operator. `segments` are columns by whose values windows are kept apart too.
    """

    owner: str = ""
    description: str = ""
    versions: VersionPolicy = VersionPolicy()
    promote: Literal["manual", "auto"] = "manual"
    json_nonfinite: Literal["null", "token", "error"] = "null"
    max_rows_per_request: Positive | None = None
    segments: tuple[str, ...] = ()
    log: ModelLogSettings = ModelLogSettings()
    drift: ModelDriftSettings = ModelDriftSettings()
    alerts: ModelAlertSettings = ModelAlertSettings()


class SettingDifference(NamedTuple):
    """One setting that differs, by its dotted key; values as TOML would have them."""

    key: str
    before: Any
    after: Any

    def __str__(self) -> str:
        return f"{self.key}: {json.dumps(self.before)} → {json.dumps(self.after)}"


def settings_differences(before: ModelSettings, after: ModelSettings) -> tuple[SettingDifference, ...]:
    """Return what differs between two settings, by key in the order of the file."""
    old, new = dict(_flat(before, "")), dict(_flat(after, ""))
    return tuple(SettingDifference(key, old[key], new[key]) for key in old if old[key] != new[key])


def _flat(section: msgspec.Struct, prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in msgspec.structs.asdict(section).items():
        if isinstance(value, msgspec.Struct):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def parse_settings(text: str, source: str = SETTINGS_FILE) -> ModelSettings:
    """Return the settings in a TOML text, else raise InvalidSettings naming `source` and the line."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        problem, _, place = str(error).removesuffix(")").partition(" (at ")
        raise InvalidSettings(f"{source}, {place or 'at its end'}: {problem}") from error
    try:
        return msgspec.convert(document, ModelSettings)
    except msgspec.ValidationError as error:
        line = _line_of(text, str(error), document)
        raise InvalidSettings(f"{source}, line {line}: {error}") from error


def _line_of(text: str, problem: str, document: dict[str, Any]) -> int:
    """Find the line a validation error speaks of: by the key it names, else by its path."""
    named = re.search(r"unknown field `([^`]+)`", problem) or re.match(r"(\w+): ", problem)
    path = re.findall(r"\.([A-Za-z0-9_]+)", problem.partition("$")[2])
    section, key = (path[:-1], path[-1]) if path and not named else (path, "")
    if named:
        key = named.group(1)
    return _find_key(text.splitlines(), section, key) or _find_key(text.splitlines(), [], key) or 1


def _find_key(lines: list[str], section: list[str], key: str) -> int | None:
    current = ""
    for number, line in enumerate(lines, start=1):
        header = re.match(r"\s*\[+\s*([^\]]+?)\s*\]+", line)
        if header:
            current = header.group(1)
            if current == ".".join([*section, key]).strip("."):
                return number
        elif current == ".".join(section) and re.match(rf"\s*[\"']?{re.escape(key)}[\"']?\s*[=.]", line):
            return number
    return None
