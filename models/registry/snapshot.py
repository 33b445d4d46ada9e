"""What a registry holds, as one immutable value that decisions are made from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from driftgate.models.registry.settings import ModelSettings
from driftgate.models.schema.manifest import Manifest


@dataclass(frozen=True)
class PublishedVersion:
    """One complete version directory. `digest` is the SHA-256 of its manifest.json."""

    model: str
    version: int
    digest: str
    manifest: Manifest


@dataclass(frozen=True)
class RegistryModel:
    """One model directory: its readable versions, its settings, and why the rest is not readable.

    `problems` maps a version number (0: the model itself or its settings) to a reason for people. `settings`
    is None where model.toml is broken: whoever decides then keeps the last good ones. `readable` is False
    where the directory itself could not be read: then nothing can be told of its versions, and none is gone.
    A version that is neither in `versions` nor in `problems` is gone.
    """

    name: str
    versions: Mapping[int, PublishedVersion]
    settings: ModelSettings | None = field(default_factory=ModelSettings)
    problems: Mapping[int, str] = field(default_factory=dict)
    readable: bool = True


@dataclass(frozen=True)
class RegistrySnapshot:
    """All models of a registry at one look."""

    models: Mapping[str, RegistryModel] = field(default_factory=dict)
    problems: tuple[str, ...] = ()


class RegistrySource(Protocol):
    """Where published versions come from: a directory today, an object store when one is needed."""

    def scan(self) -> RegistrySnapshot:
        """Return what is there now; raise RegistryUnavailable if that cannot be told."""
        ...

    def fetch(self, published: PublishedVersion, target: Path) -> None:
        """Copy the version's files (and manifest.json) into the new directory `target`, hashing on the way.

        Raises UnsafeFile if a file is a link or a device, or is not what the manifest says.
        """
        ...
