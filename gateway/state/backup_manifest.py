"""What a backup holds: `backup.json`, written last, lists every file of it with size and SHA-256.

```
backup-20260131T120000Z/
  backup.json
  state/desired/1.json …      every generation: splits, salts, pins, settings, who and why
  state/events/…              the journals
  state/tokens.json, log.key  access tokens (as hashes) and the secret of hashed columns
  registry/<model>/model.toml
  registry/<model>/<version>/…   only with models
```
"""

import re
from typing import Annotated

import msgspec

from driftgate.gateway.formats import other_format
from driftgate.models.schema.manifest import FileEntry

FORMAT = 1
BACKUP_FILE = "backup.json"
MAX_BACKUP_FILE_BYTES = 256 * 2**20

_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}"
_PATH = re.compile(
    r"state/(desired/[1-9][0-9]{0,17}\.json|events/[a-z]+-\d{12}\.jsonl|tokens\.json|log\.key)"
    rf"|registry/_features/{_NAME}\.toml"
    rf"|registry/{_NAME}/(model\.toml|[1-9][0-9]{{0,17}}/(?!\.)[^/\0]+(/(?!\.)[^/\0]+)*)"
)


class BackupError(Exception):
    """A backup that cannot be written, read or restored; the text says why and what to do."""


class VersionReference(msgspec.Struct, frozen=True):
    """A version that the state needs: found in a registry again by name, number and digest."""

    model: str
    version: int
    digest: str
    weight_ppm: int = 0


class Backup(msgspec.Struct, frozen=True, kw_only=True):
    """The content of `backup.json`. `head` is the SHA-256 of the newest generation's file."""

    format: int
    at: str
    driftgate: str
    generation: Annotated[int, msgspec.Meta(ge=0)]
    head: str
    files: tuple[FileEntry, ...]
    versions: tuple[VersionReference, ...]


def encode_backup(backup: Backup) -> bytes:
    """Return the bytes of `backup.json`."""
    return msgspec.json.format(msgspec.json.encode(backup), indent=1) + b"\n"


def decode_backup(data: bytes) -> Backup:
    """Return what `backup.json` says; raise BackupError if it is damaged, newer, or names odd paths."""
    other = other_format(data, FORMAT)
    if other is not None:
        raise BackupError(f"the backup has format {other}; this Driftgate reads {FORMAT}")
    try:
        backup = msgspec.json.decode(data, type=Backup)
    except msgspec.MsgspecError as error:
        raise BackupError(f"{BACKUP_FILE} is damaged: {error}") from error
    odd = next((file.path for file in backup.files if not _PATH.fullmatch(file.path)), None)
    if odd is not None:
        raise BackupError(f"{BACKUP_FILE} names {odd[:200]!r}, which is no file of a backup")
    return backup
