"""Write a backup of a gateway's state and settings; the gateway may run meanwhile.

Everything that is copied is written whole or only ever appended to, so what is copied is a state that was.
"""

import hashlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from driftgate import __version__
from driftgate.features.views.declaration import MAX_DECLARATION_BYTES, VIEWS_DIRECTORY
from driftgate.features.views.view import VIEW_NAME
from driftgate.gateway.layout import StateLayout
from driftgate.gateway.state.backup_manifest import (
    BACKUP_FILE,
    FORMAT,
    Backup,
    BackupError,
    VersionReference,
    encode_backup,
)
from driftgate.gateway.state.desired import DesiredState, UnreadableState, state_digest
from driftgate.gateway.state.generations import GenerationStore
from driftgate.gateway.state.journal import JOURNALS, journal_files
from driftgate.models.errors import RegistryError
from driftgate.models.registry.directory import DirectoryRegistry
from driftgate.models.registry.settings import MAX_SETTINGS_BYTES, SETTINGS_FILE
from driftgate.models.registry.snapshot import PublishedVersion
from driftgate.models.schema.manifest import MANIFEST_FILE, MAX_MANIFEST_BYTES, FileEntry
from driftgate.models.storage.durable import NEW, sync, write_whole
from driftgate.models.storage.files import copy_below, open_directory


@dataclass(frozen=True)
class Source:
    """What is backed up: a state directory, the settings and views of its registry, perhaps models too."""

    layout: StateLayout
    registry: Path
    with_models: bool = False


def write_backup(source: Source, directory: Path, now: datetime) -> Path:
    """Write `directory`/backup-<time>, whole or not at all, and return its path; raise BackupError."""
    newest = _newest(source.layout)
    final = directory / f"backup-{now:%Y%m%dT%H%M%SZ}"
    unfinished = directory / f".{final.name}.unfinished"
    if final.exists():
        raise BackupError(f"{final} is there already: wait a second")
    try:
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700, parents=True)
        _fill(unfinished, source, newest, now)
        os.rename(unfinished, final)
        sync(directory)
    except (OSError, RegistryError) as error:
        shutil.rmtree(unfinished, ignore_errors=True)
        reason = error.strerror if isinstance(error, OSError) else error
        raise BackupError(f"the backup cannot be written: {reason}") from error
    return final


def references(state: DesiredState) -> tuple[VersionReference, ...]:
    """Return the versions that a state holds, with the traffic that they have."""
    return tuple(
        VersionReference(
            name,
            held.version,
            held.digest,
            sum(arm.weight_ppm for arm in model.split.arms if arm.version == held.version),
        )
        for name, model in state.models.items()
        for held in model.held
    )


def _newest(layout: StateLayout) -> tuple[DesiredState, bytes]:
    try:
        newest = GenerationStore(layout.desired).newest()
    except UnreadableState as error:
        raise BackupError(f"{layout.root}: {error}") from error
    if newest is None:
        raise BackupError(f"{layout.root} holds no generation: name the state of a gateway with --state")
    return newest


def _fill(target: Path, source: Source, newest: tuple[DesiredState, bytes], now: datetime) -> None:
    state, data = newest
    needed = references(state)
    files = [_copy_own(path, target, source.layout.root) for path in _state_files(source.layout, state)]
    snapshot = DirectoryRegistry(source.registry).scan()
    with open_directory(source.registry) as registry:
        for name, model in snapshot.models.items():
            if (source.registry / name / SETTINGS_FILE).exists():
                files.append(_copy(registry, f"{name}/{SETTINGS_FILE}", target, MAX_SETTINGS_BYTES))
            for version in model.versions.values():
                if source.with_models and version.digest in {it.digest for it in needed}:
                    files += _copy_version(registry, version, target)
        for view in sorted((source.registry / VIEWS_DIRECTORY).glob("*.toml")):
            if VIEW_NAME.fullmatch(view.stem):
                files.append(_copy(registry, f"{VIEWS_DIRECTORY}/{view.name}", target, MAX_DECLARATION_BYTES))
    backup = Backup(
        format=FORMAT,
        at=now.isoformat(timespec="seconds"),
        driftgate=__version__,
        generation=state.generation,
        head=state_digest(data),
        files=tuple(files),
        versions=needed,
    )
    write_whole(target / BACKUP_FILE, encode_backup(backup), durable=True)


def _state_files(layout: StateLayout, newest: DesiredState) -> Iterator[Path]:
    yield from (layout.desired / f"{generation}.json" for generation in range(1, newest.generation + 1))
    for name in JOURNALS:
        yield from (file.path for file in journal_files(layout.events, name))
    yield from (path for path in (layout.tokens, layout.log_key) if path.exists())


def _copy_own(path: Path, target: Path, root: Path) -> FileEntry:
    """Copy a file of the state directory, a journal up to its last whole line."""
    data = path.read_bytes()
    if path.suffix == ".jsonl":
        data = data[: data.rfind(b"\n") + 1]
    name = f"state/{path.relative_to(root)}"
    _write_private(target / name, data)
    return FileEntry(name, len(data), hashlib.sha256(data).hexdigest())


def _write_private(path: Path, data: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with open(os.open(path, NEW, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _copy_version(registry: int, version: PublishedVersion, target: Path) -> Iterator[FileEntry]:
    directory = f"{version.model}/{version.version}"
    for file in version.manifest.files:
        yield _copy(registry, f"{directory}/{file.path}", target, file.size_bytes)
    yield _copy(registry, f"{directory}/{MANIFEST_FILE}", target, MAX_MANIFEST_BYTES)


def _copy(registry: int, path: str, target: Path, limit_bytes: int) -> FileEntry:
    name = f"registry/{path}"
    copy = target / name
    copy.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = copy_below(registry, path, copy, limit_bytes)
    return FileEntry(name, found.size_bytes, found.sha256)
