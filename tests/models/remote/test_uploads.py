"""Versions that arrive part by part: placed whole, once, and gone on with after a crash."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from driftgate.models.errors import (
    UploadUnknown,
    VersionExists,
)
from driftgate.models.publish.onnx_file import Published
from driftgate.models.remote.upload_types import PlacedVersion
from driftgate.models.remote.uploads import Uploads
from driftgate.models.schema.manifest import decode_manifest, encode_manifest
from driftgate.models.storage.durable import write_synced
from driftgate.models.storage.transfer import verify_version

from harness.upload_parts import LIMITS, NOW, PART_BYTES, everything, manifest_bytes, send, whole

Publish = Callable[..., Published]


def test_a_version_arrives_whole(publish_version: Publish, target: Path) -> None:
    """All parts make a version with the next number, of the same files, and nothing else is left."""
    placed = whole(Uploads(target, LIMITS), publish_version())
    manifest, digest = verify_version(target / "m" / "1")
    assert placed == PlacedVersion("m", 1, digest, created=True)
    assert manifest.version == 1
    assert everything(target) == [
        *("m", "m/1", "m/1/examples.npz", "m/1/manifest.json", "m/1/model.onnx", "m/model.toml")
    ]
    assert {path.stat().st_mode & 0o777 for path in (target / "m" / "1").iterdir()} == {0o644}


def test_the_same_content_again_is_not_even_sent(publish_version: Publish, target: Path) -> None:
    """Beginning with content that is there answers with it, and opens no upload."""
    uploads, published = Uploads(target, LIMITS), publish_version()
    first = whole(uploads, published)
    assert whole(uploads, published) == msgspec.structs.replace(first, created=False)
    assert whole(uploads, published, version=1) == msgspec.structs.replace(first, created=False)


def test_numbers_follow_and_are_never_taken_twice(publish_version: Publish, target: Path) -> None:
    """Other content gets the next number, or is refused where it asks for one that is taken."""
    uploads = Uploads(target, LIMITS)
    assert whole(uploads, publish_version()).version == 1
    other = publish_version(scale=2.0)
    assert whole(uploads, other).version == 2
    with pytest.raises(VersionExists, match="m version 1 already exists"):
        whole(uploads, other, version=1)
    assert whole(uploads, other, version=7).version == 7


def test_a_number_of_its_own_keeps_the_manifest_to_the_byte(publish_version: Publish, target: Path) -> None:
    """A version that is copied has the same digest, even if this Driftgate would write it differently."""
    published = publish_version(version=7)
    data = json.dumps(json.loads(manifest_bytes(published, version=7))).encode()
    uploads = Uploads(target, LIMITS)
    begun = uploads.begin("m", data, NOW)
    send(uploads, published, begun.upload)
    assert uploads.commit("m", begun.upload).digest == hashlib.sha256(data).hexdigest()


def test_an_upload_goes_on_after_a_crash(publish_version: Publish, target: Path) -> None:
    """What arrived before either side died is not sent again, also by a job that built the model anew."""
    published = publish_version()
    first = Uploads(target, LIMITS)
    data = (published.directory / published.manifest.files[0].path).read_bytes()
    begun = first.begin("m", manifest_bytes(published), NOW)
    first.extend("m", begun.upload, 0, 0, data[:PART_BYTES])
    again = Uploads(target, LIMITS)
    later = msgspec.structs.replace(published.manifest.provenance, created_at="2031-01-01T00:00:00+00:00")
    rebuilt = msgspec.structs.replace(published.manifest, version=0, provenance=later)
    resumed = again.begin("m", encode_manifest(rebuilt), NOW)
    assert (resumed.upload, resumed.files[0].received_bytes) == (begun.upload, PART_BYTES)
    again.extend("m", resumed.upload, 0, PART_BYTES, data[PART_BYTES:])
    number = next(i for i, entry in enumerate(published.manifest.files) if entry.path == "model.onnx")
    again.extend("m", resumed.upload, number, 0, (published.directory / "model.onnx").read_bytes())
    assert again.commit("m", resumed.upload).version == 1


def test_a_crash_between_numbering_and_placing_is_begun_again(publish_version: Publish, target: Path) -> None:
    """A manifest that was numbered but not placed is no upload until a publisher begins it again."""
    uploads, published = Uploads(target, LIMITS), publish_version()
    begun = uploads.begin("m", manifest_bytes(published), NOW)
    send(uploads, published, begun.upload)
    write_synced(
        target / "m" / f".staging-{begun.upload}" / "manifest.json", manifest_bytes(published, version=1)
    )
    with pytest.raises(UploadUnknown):
        uploads.commit("m", begun.upload)
    assert [path.name for path in (target / "m").iterdir()] == [f".staging-{begun.upload}"]
    assert uploads.begin("m", manifest_bytes(published), NOW).upload == begun.upload
    assert uploads.commit("m", begun.upload).version == 1


def test_empty_files_and_folders_arrive(publish_version: Publish, target: Path) -> None:
    """A file of no bytes needs no part, and files lie in the folders that the manifest says."""
    published = publish_version()
    (published.directory / "weights").mkdir()
    (published.directory / "weights" / "w").write_bytes(b"abc")
    (published.directory / "empty").write_bytes(b"")
    entries = json.loads(manifest_bytes(published))
    for path, data in (("weights/w", b"abc"), ("empty", b"")):
        entries["files"].append(
            {"path": path, "size_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        )
    manifest = decode_manifest(json.dumps(entries).encode())
    grown = Published("m", 1, published.directory, "", True, manifest, ())
    placed = whole(Uploads(target, LIMITS), grown)
    assert (target / "m" / str(placed.version) / "weights" / "w").read_bytes() == b"abc"
    assert (target / "m" / str(placed.version) / "empty").read_bytes() == b""
