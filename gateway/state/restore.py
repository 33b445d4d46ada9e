"""Make a new state directory from a backup: every file checked, every chain verified, or nothing is made.

The registry is completed, never overwritten: a file that is there and differs is left alone and named.
"""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from driftgate.gateway.layout import StateLayout
from driftgate.gateway.state.backup_manifest import (
    BACKUP_FILE,
    MAX_BACKUP_FILE_BYTES,
    Backup,
    BackupError,
    VersionReference,
    decode_backup,
)
from driftgate.gateway.state.generations import GenerationStore
from driftgate.gateway.state.slots import PRIVATE
from driftgate.gateway.state.timeline import verify
from driftgate.models.errors import RegistryError
from driftgate.models.registry.cache import VersionCache
from driftgate.models.registry.directory import DirectoryRegistry
from driftgate.models.schema.manifest import FileEntry
from driftgate.models.storage.durable import sync
from driftgate.models.storage.files import copy_checked, open_directory, read_below

_STATE, _REGISTRY = "state/", "registry/"


@dataclass(frozen=True)
class Restored:
    """What came of it: versions that the registry lacks, and files there that differ from the backup's."""

    generation: int
    missing: tuple[VersionReference, ...]
    different: tuple[str, ...]


def restore(source: Path, state: Path, registry: Path) -> Restored:
    """Make the state directory `state`, which must be empty or absent, from the backup at `source`.

    Raises BackupError, and then there is no new state directory.
    """
    if state.exists() and (not state.is_dir() or any(state.iterdir())):
        raise BackupError(f"{state} is not empty: restore into a new directory, while no gateway runs on it")
    unfinished = state.absolute().with_name(f".{state.name}.restoring")
    try:
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=PRIVATE, parents=True)
        restored = _fill(source, unfinished, registry)
        os.rename(unfinished, state)
        sync(state.absolute().parent)
    except OSError as error:
        raise BackupError(f"{error.filename or source}: {error.strerror}") from error
    except RegistryError as error:
        raise BackupError(str(error)) from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return restored


def _fill(source: Path, target: Path, registry: Path) -> Restored:
    with open_directory(source) as root:
        backup = decode_backup(read_below(root, BACKUP_FILE, MAX_BACKUP_FILE_BYTES))
        for file in backup.files:
            if file.path.startswith(_STATE):
                _copy(root, file, target / file.path.removeprefix(_STATE))
            else:
                copy_checked(root, file, None)
        _check_chains(StateLayout(target), backup)
        different = _complete_registry(root, backup, registry)
    return Restored(backup.generation, _fill_cache(target, backup, registry), different)


def _check_chains(layout: StateLayout, backup: Backup) -> None:
    verdict = verify(layout)
    if verdict.damage:
        raise BackupError(f"the backup is damaged: {verdict.damage[0]}")
    store = GenerationStore(layout.desired)
    if verdict.generations != backup.generation or store.digest(backup.generation) != backup.head:
        raise BackupError(f"the backup is damaged: its newest generation is not {backup.generation}")


def _complete_registry(root: int, backup: Backup, registry: Path) -> tuple[str, ...]:
    """Copy what the registry lacks under hidden names first, so that nothing is seen by halves."""
    different: list[str] = []
    begun: dict[Path, Path] = {}
    for file in backup.files:
        if not file.path.startswith(_REGISTRY):
            continue
        model, place, *rest = file.path.removeprefix(_REGISTRY).split("/")
        final, hidden = registry / model / place, registry / model / f".{place}.restoring"
        if final.exists():
            different += [] if _is_same(registry, file) else [file.path.removeprefix(_REGISTRY)]
            continue
        if hidden not in begun:
            shutil.rmtree(hidden, ignore_errors=True)
            hidden.unlink(missing_ok=True)
        begun[hidden] = final
        _copy(root, file, hidden / "/".join(rest) if rest else hidden)
    for hidden, final in begun.items():
        os.rename(hidden, final)
        sync(final.parent)
    return tuple(different)


def _is_same(registry: Path, file: FileEntry) -> bool:
    there = FileEntry(file.path.removeprefix(_REGISTRY), file.size_bytes, file.sha256)
    try:
        with open_directory(registry) as root:
            copy_checked(root, there, None)
    except RegistryError:
        return False
    return True


def _fill_cache(target: Path, backup: Backup, registry: Path) -> tuple[VersionReference, ...]:
    """Copy what the state holds from the registry, so that serving begins at once; return what is missing."""
    source, cache = DirectoryRegistry(registry), VersionCache(StateLayout(target).cache)
    shown = source.scan().models if registry.is_dir() else {}
    missing = []
    for wanted in backup.versions:
        model = shown.get(wanted.model)
        found = model.versions.get(wanted.version) if model else None
        if found is None or found.digest != wanted.digest:
            missing.append(wanted)
        else:
            cache.add(source, found)
    return tuple(missing)


def _copy(root: int, file: FileEntry, target: Path) -> None:
    target.parent.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
    copy_checked(root, file, target)
