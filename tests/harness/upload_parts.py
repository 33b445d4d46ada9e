"""Versions sent part by part, as a publisher would, into the uploads of a registry."""

from pathlib import Path
from typing import Any

import msgspec

from driftgate.models.publish.onnx_file import Published
from driftgate.models.remote.upload_types import PlacedVersion
from driftgate.models.remote.uploaded_manifest import UploadLimits
from driftgate.models.remote.uploads import Uploads
from driftgate.models.schema.manifest import encode_manifest

NOW = 0.0
"""Before every upload of these tests was touched, so that none is stale."""
LIMITS = UploadLimits(max_file_bytes=2**20, max_version_bytes=2**21, max_open=2, keep_s=3600)
PART_BYTES = 100
HASH = "0" * 64
"""Of no file."""


def manifest_bytes(built: Published, **changes: Any) -> bytes:
    """Return the manifest as a publisher sends it, with changes."""
    return encode_manifest(msgspec.structs.replace(built.manifest, **({"version": 0} | changes)))


def send(uploads: Uploads, published: Published, upload: str) -> None:
    """Send every file in small parts."""
    for number, entry in enumerate(published.manifest.files):
        data = (published.directory / entry.path).read_bytes()
        for offset in range(0, len(data), PART_BYTES):
            uploads.extend("m", upload, number, offset, data[offset : offset + PART_BYTES])


def whole(uploads: Uploads, published: Published, version: int = 0) -> PlacedVersion:
    """Upload a version from beginning to end."""
    begun = uploads.begin("m", manifest_bytes(published, version=version), NOW)
    if begun.published:
        return begun.published
    send(uploads, published, begun.upload)
    return uploads.commit("m", begun.upload)


def everything(root: Path) -> list[str]:
    """Return what lies in a registry, hidden or not."""
    return sorted(str(path.relative_to(root)) for path in root.rglob("*"))
