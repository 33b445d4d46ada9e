"""Uploads that are not what was promised, out of order, too large, or lead elsewhere."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from driftgate.models.errors import (
    RegistryFull,
    RegistryUnavailable,
    TooManyUploads,
    UnsafeFile,
    UploadConflict,
    UploadTooLarge,
    UploadUnknown,
)
from driftgate.models.publish.onnx_file import Published
from driftgate.models.remote.uploaded_manifest import UploadLimits
from driftgate.models.remote.uploads import Uploads
from driftgate.models.schema.manifest import Manifest, encode_manifest

from harness.upload_parts import HASH, LIMITS, NOW, everything, manifest_bytes, send

Publish = Callable[..., Published]


def test_what_is_not_what_was_promised_leaves_nothing(publish_version: Publish, target: Path) -> None:
    """A wrong hash or a byte too many ends the upload, and the model is as if it had never been."""
    uploads, published = Uploads(target, LIMITS), publish_version()
    size = published.manifest.files[0].size_bytes
    begun = uploads.begin("m", manifest_bytes(published), NOW)
    with pytest.raises(UnsafeFile, match="is not what its SHA-256"):
        uploads.extend("m", begun.upload, 0, 0, bytes(size))
    assert everything(target) == []
    begun = uploads.begin("m", manifest_bytes(published), NOW)
    with pytest.raises(UploadTooLarge, match=f"more than the {size} bytes"):
        uploads.extend("m", begun.upload, 0, 0, bytes(size + 1))
    assert everything(target) == []


def test_a_file_that_changed_after_it_arrived_is_found(publish_version: Publish, target: Path) -> None:
    """Committing reads every file again, so that what another process wrote there is not placed."""
    uploads, published = Uploads(target, LIMITS), publish_version()
    begun = uploads.begin("m", manifest_bytes(published), NOW)
    send(uploads, published, begun.upload)
    staged = target / "m" / f".staging-{begun.upload}" / "model.onnx"
    staged.write_bytes(bytes(staged.stat().st_size))
    with pytest.raises(UnsafeFile, match="damaged"):
        uploads.commit("m", begun.upload)
    assert everything(target) == []


def test_parts_come_in_order(publish_version: Publish, target: Path) -> None:
    """A part that is not the next one, of no file, or of no upload is refused and changes nothing."""
    uploads, published = Uploads(target, LIMITS), publish_version()
    begun = uploads.begin("m", manifest_bytes(published), NOW)
    uploads.extend("m", begun.upload, 0, 0, (published.directory / "examples.npz").read_bytes()[:9])
    for offset in (0, 8, 10, -1):
        with pytest.raises(UploadConflict, match="has 9 bytes"):
            uploads.extend("m", begun.upload, 0, offset, b"x")
    for number in (-1, 2, 10**6):
        with pytest.raises(UploadUnknown, match="has no file"):
            uploads.extend("m", begun.upload, number, 0, b"x")
    for upload in ("0" * 64, "", "../1", "0" * 63 + "/"):
        with pytest.raises(UploadUnknown, match="begin it again"):
            uploads.extend("m", upload, 0, 0, b"x")
    with pytest.raises(UploadConflict, match="9 of"):
        uploads.commit("m", begun.upload)
    assert uploads.begin("m", manifest_bytes(published), NOW).files[0].received_bytes == 9


def with_files(manifest: Manifest, count: int, size_bytes: int) -> bytes:
    """Return a manifest that lists more files."""
    document = json.loads(encode_manifest(msgspec.structs.replace(manifest, version=0)))
    document["files"] += [
        {"path": f"w{number}", "size_bytes": size_bytes, "sha256": HASH} for number in range(count)
    ]
    return json.dumps(document).encode()


def test_uploads_are_bounded(publish_version: Publish, target: Path) -> None:
    """Files, bytes and open uploads have limits; a stale upload makes room for another."""
    uploads = Uploads(target, LIMITS)
    manifest = publish_version().manifest
    with pytest.raises(UploadTooLarge, match="at most 1000"):
        uploads.begin("m", with_files(manifest, 1000, 0), NOW)
    with pytest.raises(UploadTooLarge, match=r"uploads\.max_version_bytes"):
        uploads.begin("m", with_files(manifest, 2, 2**20), NOW)
    for count in (1, 2):
        uploads.begin("m", with_files(manifest, count, 5), 0.0)
    with pytest.raises(TooManyUploads, match="2 uploads are open"):
        uploads.begin("m", with_files(manifest, 3, 5), 0.0)
    uploads.begin("m", with_files(manifest, 3, 5), 4e9)
    assert len(list((target / "m").iterdir())) == 1
    uploads.sweep(8e9)
    assert everything(target) == []


def test_a_version_larger_than_the_disk_is_refused(publish_version: Publish, target: Path) -> None:
    """What cannot fit is refused before a byte of it is written."""
    limits = UploadLimits(2**62, 2**62, 2, 3600)
    with pytest.raises(RegistryFull, match="are free"):
        Uploads(target, limits).begin("m", with_files(publish_version().manifest, 1, 2**60), NOW)
    assert everything(target) == []


@pytest.mark.parametrize("what", ["model", "staging", "file", "hard link"])
def test_no_link_is_followed(publish_version: Publish, target: Path, tmp_path: Path, what: str) -> None:
    """A link in place of model, staging directory or file is refused, and nothing is written behind it."""
    uploads, published = Uploads(target, LIMITS), publish_version()
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "examples.npz").write_bytes(b"")
    begun = uploads.begin("m", manifest_bytes(published), NOW)
    staging = target / "m" / f".staging-{begun.upload}"
    if what == "model":
        shutil.rmtree(target / "m")
        (target / "m").symlink_to(outside)
    elif what == "staging":
        shutil.rmtree(staging)
        staging.symlink_to(outside)
    elif what == "file":
        (staging / "examples.npz").symlink_to(outside / "examples.npz")
    else:
        os.link(outside / "examples.npz", staging / "examples.npz")
    with pytest.raises(UnsafeFile, match="link"):
        uploads.begin("m", manifest_bytes(published), NOW)
    with pytest.raises(UnsafeFile, match="link"):
        uploads.extend("m", begun.upload, 0, 0, b"x")
    assert (outside / "examples.npz").read_bytes() == b""
    assert [path.name for path in outside.iterdir()] == ["examples.npz"]


def test_a_registry_that_is_away_is_not_made(publish_version: Publish, target: Path) -> None:
    """An empty registry in place of one that is not mounted would unload everything: it is never made."""
    manifest = manifest_bytes(publish_version())
    target.rmdir()
    with pytest.raises(RegistryUnavailable, match="cannot be read"):
        Uploads(target, LIMITS).begin("m", manifest, NOW)
    assert not target.exists()
