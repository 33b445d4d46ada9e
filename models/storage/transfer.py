"""Move a whole version between directories, and check a whole version where it lies."""

import re
from pathlib import Path

from driftgate.models.errors import UnsafeFile
from driftgate.models.schema.manifest import (
    MANIFEST_FILE,
    MAX_MANIFEST_BYTES,
    Manifest,
    decode_manifest,
    digest_of,
)
from driftgate.models.storage.durable import sync, write_whole
from driftgate.models.storage.files import copy_checked, open_directory, read_below

_DIGEST = re.compile(r"[0-9a-f]{64}")


def copy_version(source: int, manifest: Manifest, manifest_bytes: bytes, target: Path) -> None:
    """Copy every listed file below the descriptor `source` into the new directory `target`, manifest last.

    Raises UnsafeFile if a file is not what the manifest says, OSError if it cannot be read or written.
    """
    target.mkdir(mode=0o700)
    for entry in manifest.files:
        copy = target / entry.path
        copy.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        copy_checked(source, entry, copy)
    write_whole(target / MANIFEST_FILE, manifest_bytes, durable=True)
    for directory in {(target / entry.path).parent for entry in manifest.files}:
        sync(directory)


def is_digest(name: str) -> bool:
    """Return whether `name` has the form of a version's digest."""
    return _DIGEST.fullmatch(name) is not None


def verify_version(directory: Path) -> tuple[Manifest, str]:
    """Hash every file of a version; return its manifest and its digest.

    Raises UnsafeFile if a file is not what the manifest says, or the manifest not what a directory named by
    digest promises; InvalidManifest; OSError if something cannot be read.
    """
    with open_directory(directory) as source:
        data = read_below(source, MANIFEST_FILE, MAX_MANIFEST_BYTES)
        digest = digest_of(data)
        if is_digest(directory.name) and directory.name != digest:
            raise UnsafeFile("manifest.json is damaged: its SHA-256 is not the version's digest")
        manifest = decode_manifest(data)
        for entry in manifest.files:
            copy_checked(source, entry, None)
    return manifest, digest
