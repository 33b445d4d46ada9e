"""Model names and version numbers: what is allowed, checked in one place."""

import re

from driftgate.models.errors import InvalidName

MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
VERSION = re.compile(r"[1-9][0-9]{0,17}")


def check_model_name(name: str) -> str:
    """Return `name` if it may name a model, else raise InvalidName."""
    if MODEL_NAME.fullmatch(name):
        return name
    raise InvalidName(
        f"{name[:140]!r} cannot name a model: use 1 to 128 letters, digits, '.', '_' or '-', "
        "beginning with a letter or digit"
    )


def parse_version(text: str) -> int:
    """Return the version number that `text` spells, else raise InvalidName."""
    if VERSION.fullmatch(text):
        return int(text)
    raise InvalidName(f"{text[:40]!r} is not a version: use a positive whole number without leading zeros")
