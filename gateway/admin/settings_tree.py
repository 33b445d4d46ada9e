"""The `model.toml` files that a person wants applied: found, bounded and checked before anything is sent."""

from dataclasses import dataclass
from pathlib import Path

from driftgate.models.errors import InvalidName, InvalidSettings
from driftgate.models.registry.settings import (
    MAX_SETTINGS_BYTES,
    SETTINGS_FILE,
    ModelSettings,
    parse_settings,
)
from driftgate.models.schema.names import check_model_name


class InvalidTree(Exception):
    """What is wrong with the files; one line for each problem, naming file and line."""


@dataclass(frozen=True)
class WantedSettings:
    """What one file asks for."""

    model: str
    text: str
    settings: ModelSettings


def read_tree(path: Path, model: str | None = None) -> list[WantedSettings]:
    """Return what a file, or a directory of `<model>/model.toml`, asks for, by model.

    A file's model is the name of its directory unless `model` names it. Raises InvalidTree with every
    problem of every file.
    """
    files = _files(path, model)
    wanted, problems = [], []
    for name, file in files:
        try:
            wanted.append(_read(name, file))
        except (InvalidName, InvalidSettings) as error:
            problems.append(str(error))
        except OSError as error:
            problems.append(f"{file}: {error.strerror}")
    if problems:
        raise InvalidTree("\n".join(problems))
    return wanted


def _files(path: Path, model: str | None) -> list[tuple[str, Path]]:
    if not path.is_dir():
        return [(model or path.absolute().parent.name, path)]
    if model:
        raise InvalidTree("--model names the model of one file; the files of a directory are named by theirs")
    found = sorted(path.glob(f"*/{SETTINGS_FILE}"))
    if not found and (path / SETTINGS_FILE).is_file():
        raise InvalidTree(f"{path} is the directory of one model: name its file, {path / SETTINGS_FILE}")
    if not found:
        raise InvalidTree(f"{path} holds no MODEL/{SETTINGS_FILE}")
    return [(file.parent.name, file) for file in found if not file.parent.name.startswith(".")]


def _read(name: str, file: Path) -> WantedSettings:
    check_model_name(name)
    with open(file, "rb") as stream:
        data = stream.read(MAX_SETTINGS_BYTES + 1)
    if len(data) > MAX_SETTINGS_BYTES:
        raise InvalidSettings(f"{file} has more than {MAX_SETTINGS_BYTES} bytes; settings are a few lines")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InvalidSettings(f"{file}, line {line}: this is not UTF-8 text") from error
    return WantedSettings(name, text, parse_settings(text, str(file)))
