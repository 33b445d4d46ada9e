"""What a training job leaves for the demo: rows that it never learned from, and what it answers for them."""

from pathlib import Path

import msgspec

Row = dict[str, str | int | float | None]


class HeldOut(msgspec.Struct, frozen=True):
    """Held-out rows of one version, their labels, and the estimator's own probability of class 1 for each.

    `probabilities` names the model's output that carries them. `auc` is measured on all `held_out_rows`, of
    which `rows` are the first.
    """

    model: str
    version: int
    auc: float
    held_out_rows: int
    probabilities: str
    rows: tuple[Row, ...]
    labels: tuple[int, ...]
    scores: tuple[float, ...]


def save(held_out: HeldOut, directory: Path) -> None:
    """Write `held_out` into `directory`, which exists."""
    _path(directory, held_out.model, held_out.version).write_bytes(msgspec.json.encode(held_out))


def load(directory: Path, model: str, version: int) -> HeldOut:
    """Return what `save` wrote."""
    return msgspec.json.decode(_path(directory, model, version).read_bytes(), type=HeldOut)


def _path(directory: Path, model: str, version: int) -> Path:
    return directory / f"{model}-{version}.json"
