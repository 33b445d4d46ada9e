"""Manifests from the network: what may not be in them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from driftgate.models.errors import (
    InvalidManifest,
    ModelError,
    UploadTooLarge,
)
from driftgate.models.publish.onnx_file import Published
from driftgate.models.remote.uploads import Uploads

from harness.upload_parts import HASH, LIMITS, NOW, everything, manifest_bytes

Publish = Callable[..., Published]


BAD_FILES: list[tuple[dict[str, Any], type[ModelError], str]] = [
    ({"path": "../x"}, InvalidManifest, "not a plain path"),
    ({"path": "/etc/x"}, InvalidManifest, "not a plain path"),
    ({"path": "a//b"}, InvalidManifest, "not a plain path"),
    ({"path": "a\0b"}, InvalidManifest, "not a plain path"),
    ({"path": ".x"}, InvalidManifest, "may not be uploaded"),
    ({"path": "a/.x"}, InvalidManifest, "may not be uploaded"),
    ({"path": "a\\b"}, InvalidManifest, "may not be uploaded"),
    ({"path": "a\nb"}, InvalidManifest, "may not be uploaded"),
    ({"path": "x" * 201}, InvalidManifest, "may not be uploaded"),
    ({"path": "/".join("abcdefghi")}, InvalidManifest, "at most 8 deep"),
    ({"path": "model.onnx"}, InvalidManifest, "listed twice"),
    ({"path": "model.onnx/x"}, InvalidManifest, "a file and a directory"),
    ({"path": "manifest.json/x"}, InvalidManifest, "a file and a directory"),
    ({"path": "manifest.json"}, InvalidManifest, "cannot list itself"),
    ({"path": "x", "size_bytes": -1}, InvalidManifest, "negative size"),
    ({"path": "x", "sha256": "0" * 63}, InvalidManifest, "sha256"),
    ({"path": "x", "sha256": "A" * 64}, InvalidManifest, "sha256"),
    ({"path": "x", "size_bytes": 2**20 + 1}, UploadTooLarge, "uploads.max_file_bytes is 1048576"),
]


@pytest.mark.parametrize(("entry", "kind", "reason"), BAD_FILES)
def test_no_unchecked_path_reaches_the_file_system(
    publish_version: Publish, target: Path, entry: dict[str, Any], kind: type[ModelError], reason: str
) -> None:
    """A manifest with a path, size or hash that may not be opens no upload."""
    document = json.loads(manifest_bytes(publish_version()))
    document["files"].append({"size_bytes": 1, "sha256": HASH} | entry)
    with pytest.raises(kind, match=reason):
        Uploads(target, LIMITS).begin("m", json.dumps(document).encode(), NOW)
    assert everything(target) == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"name": "other"}, "is of 'other', not of 'm'"),
        ({"name": "../m"}, "cannot name a model"),
        ({"version": -1}, "not a version"),
        ({"version": 10**18}, "not a version"),
        ({"format": 99}, "reads format 1"),
    ],
)
def test_a_wrong_manifest_opens_no_upload(
    publish_version: Publish, target: Path, change: dict[str, Any], reason: str
) -> None:
    """A manifest of another model, number or format is refused with the reason."""
    document = json.loads(manifest_bytes(publish_version())) | change
    with pytest.raises(InvalidManifest, match=reason):
        Uploads(target, LIMITS).begin("m", json.dumps(document).encode(), NOW)
    assert everything(target) == []
