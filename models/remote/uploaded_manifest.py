"""Checks a manifest that came over the network before a single path of it reaches the file system. Pure."""

import hashlib
from dataclasses import dataclass

from driftgate.models.errors import InvalidManifest, InvalidName, UploadTooLarge
from driftgate.models.remote.upload_types import NEXT_NUMBER
from driftgate.models.schema.manifest import FileEntry, Manifest, content_digest, decode_manifest
from driftgate.models.schema.names import parse_version
from driftgate.models.storage.transfer import is_digest

MAX_FILES = 1000
MAX_DEPTH = 8
MAX_NAME_BYTES = 200


@dataclass(frozen=True)
class UploadLimits:
    """What the uploads of one registry may take; one that is not touched for `keep_s` is given up."""

    max_file_bytes: int
    max_version_bytes: int
    max_open: int
    keep_s: float


def uploaded_manifest(data: bytes, model: str, limits: UploadLimits) -> Manifest:
    """Return the manifest in `data`, whose version may be NEXT_NUMBER.

    Raises InvalidManifest where it is none, not of `model`, or names files that may not be, and
    UploadTooLarge beyond the limits.
    """
    try:
        manifest = decode_manifest(data)
        if manifest.version != NEXT_NUMBER:
            parse_version(str(manifest.version))
    except InvalidName as error:
        raise InvalidManifest(f"manifest.json: {error}") from error
    if manifest.name != model:
        raise InvalidManifest(f"manifest.json is of {manifest.name!r}, not of {model!r}")
    if len(manifest.files) > MAX_FILES:
        raise UploadTooLarge(f"files: {len(manifest.files)} are listed; a version has at most {MAX_FILES}")
    for entry in manifest.files:
        _check_entry(entry, limits)
    if manifest.size_bytes > limits.max_version_bytes:
        raise UploadTooLarge(
            f"the version has {manifest.size_bytes} bytes; uploads.max_version_bytes is "
            f"{limits.max_version_bytes}"
        )
    _check_nesting({entry.path for entry in manifest.files})
    return manifest


def upload_id(manifest: Manifest) -> str:
    """Return the name of the upload of this content under this number, whoever sends it and when."""
    return hashlib.sha256(f"{content_digest(manifest)}:{manifest.version}".encode()).hexdigest()


def _check_entry(entry: FileEntry, limits: UploadLimits) -> None:
    parts = entry.path.split("/")
    if len(parts) > MAX_DEPTH or not all(map(_may_be_a_name, parts)):
        raise InvalidManifest(
            f"files: {entry.path[:200]!r} may not be uploaded: names are printable, not hidden, of at most "
            f"{MAX_NAME_BYTES} bytes, and at most {MAX_DEPTH} deep"
        )
    if not is_digest(entry.sha256):
        raise InvalidManifest(f"files: the sha256 of {entry.path!r} is not one in lower-case hex")
    if entry.size_bytes < 0:
        raise InvalidManifest(f"files: {entry.path!r} has a negative size")
    if entry.size_bytes > limits.max_file_bytes:
        raise UploadTooLarge(
            f"{entry.path!r} has {entry.size_bytes} bytes; uploads.max_file_bytes is {limits.max_file_bytes}"
        )


def _may_be_a_name(part: str) -> bool:
    plain = part.isprintable() and "\\" not in part and not part.startswith(".")
    return plain and len(part.encode()) <= MAX_NAME_BYTES


def _check_nesting(paths: set[str]) -> None:
    for path in paths:
        parts = path.split("/")
        for depth in range(1, len(parts)):
            if "/".join(parts[:depth]) in paths:
                raise InvalidManifest(f"files: {'/'.join(parts[:depth])!r} is a file and a directory at once")
    if any(path.split("/")[0] == "manifest.json" for path in paths):
        raise InvalidManifest("files: 'manifest.json' is a file and a directory at once")
