"""A version arrives part by part, whole or not at all."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from driftgate.models.errors import (
    InvalidManifest,
    ModelError,
    RegistryFull,
    RegistryUnavailable,
    TooManyUploads,
    UnsafeFile,
    UploadConflict,
    UploadTooLarge,
    UploadUnknown,
    VersionExists,
)
from driftgate.models.publish.onnx_file import Published
from driftgate.models.remote.upload_types import PlacedVersion
from driftgate.models.remote.uploaded_manifest import UploadLimits
from driftgate.models.remote.uploads import Uploads
from driftgate.models.schema.manifest import Manifest, decode_manifest, encode_manifest
from driftgate.models.storage.durable import write_synced
from driftgate.models.storage.transfer import verify_version

Publish = Callable[..., Published]

NOW = 0.0
"""Before every upload of these tests was touched, so that none is stale."""
LIMITS = UploadLimits(max_file_bytes=2**20, max_version_bytes=2**21, max_open=2, keep_s=3600)
PART = 100


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """The registry of the gateway that uploads go to."""
    root = tmp_path / "target"
    root.mkdir()
    return root


def manifest_of(published: Published, version: int = 0) -> bytes:
    """Return the manifest as a publisher sends it."""
    return encode_manifest(msgspec.structs.replace(published.manifest, version=version))


def send(uploads: Uploads, published: Published, upload: str, model: str = "m") -> None:
    """Send every file in small parts."""
    for number, entry in enumerate(published.manifest.files):
        data = (published.directory / entry.path).read_bytes()
        for offset in range(0, len(data), PART):
            uploads.extend(model, upload, number, offset, data[offset : offset + PART])


def whole(uploads: Uploads, published: Published, version: int = 0) -> PlacedVersion:
    """Upload a version from beginning to end."""
    begun = uploads.begin("m", manifest_of(published, version), NOW)
    if begun.published:
        return begun.published
    send(uploads, published, begun.upload)
    return uploads.commit("m", begun.upload)


def everything(root: Path) -> list[str]:
    """Return what lies in a registry, hidden or not."""
    return sorted(str(path.relative_to(root)) for path in root.rglob("*"))


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
    data = json.dumps(json.loads(manifest_of(published, 7))).encode()
    uploads = Uploads(target, LIMITS)
    begun = uploads.begin("m", data, NOW)
    send(uploads, published, begun.upload)
    assert uploads.commit("m", begun.upload).digest == hashlib.sha256(data).hexdigest()


def test_an_upload_goes_on_after_a_crash(publish_version: Publish, target: Path) -> None:
    """What arrived before either side died is not sent again, also by a job that built the model anew."""
    published = publish_version()
    first = Uploads(target, LIMITS)
    data = (published.directory / published.manifest.files[0].path).read_bytes()
    begun = first.begin("m", manifest_of(published), NOW)
    first.extend("m", begun.upload, 0, 0, data[:PART])
    again = Uploads(target, LIMITS)
    later = msgspec.structs.replace(published.manifest.provenance, created_at="2031-01-01T00:00:00+00:00")
    rebuilt = msgspec.structs.replace(published.manifest, version=0, provenance=later)
    resumed = again.begin("m", encode_manifest(rebuilt), NOW)
    assert (resumed.upload, resumed.files[0].received_bytes) == (begun.upload, PART)
    again.extend("m", resumed.upload, 0, PART, data[PART:])
    number = next(i for i, entry in enumerate(published.manifest.files) if entry.path == "model.onnx")
    again.extend("m", resumed.upload, number, 0, (published.directory / "model.onnx").read_bytes())
    assert again.commit("m", resumed.upload).version == 1


def test_a_crash_between_numbering_and_placing_is_begun_again(publish_version: Publish, target: Path) -> None:
    """A manifest that was numbered but not placed is no upload until a publisher begins it again."""
    uploads, published = Uploads(target, LIMITS), publish_version()
    begun = uploads.begin("m", manifest_of(published), NOW)
    send(uploads, published, begun.upload)
    write_synced(target / "m" / f".staging-{begun.upload}" / "manifest.json", manifest_of(published, 1))
    with pytest.raises(UploadUnknown):
        uploads.commit("m", begun.upload)
    assert [path.name for path in (target / "m").iterdir()] == [f".staging-{begun.upload}"]
    assert uploads.begin("m", manifest_of(published), NOW).upload == begun.upload
    assert uploads.commit("m", begun.upload).version == 1


def test_what_is_not_what_was_promised_leaves_nothing(publish_version: Publish, target: Path) -> None:
    """A wrong hash or a byte too many ends the upload, and the model is as if it had never been."""
    uploads, published = Uploads(target, LIMITS), publish_version()
    size = published.manifest.files[0].size_bytes
    begun = uploads.begin("m", manifest_of(published), NOW)
    with pytest.raises(UnsafeFile, match="is not what its SHA-256"):
        uploads.extend("m", begun.upload, 0, 0, bytes(size))
    assert everything(target) == []
    begun = uploads.begin("m", manifest_of(published), NOW)
    with pytest.raises(UploadTooLarge, match=f"more than the {size} bytes"):
        uploads.extend("m", begun.upload, 0, 0, bytes(size + 1))
    assert everything(target) == []


def test_a_file_that_changed_after_it_arrived_is_found(publish_version: Publish, target: Path) -> None:
    """Committing reads every file again, so that what another process wrote there is not placed."""
    uploads, published = Uploads(target, LIMITS), publish_version()
    begun = uploads.begin("m", manifest_of(published), NOW)
    send(uploads, published, begun.upload)
    staged = target / "m" / f".staging-{begun.upload}" / "model.onnx"
    staged.write_bytes(bytes(staged.stat().st_size))
    with pytest.raises(UnsafeFile, match="damaged"):
        uploads.commit("m", begun.upload)
    assert everything(target) == []


def test_parts_come_in_order(publish_version: Publish, target: Path) -> None:
    """A part that is not the next one, of no file, or of no upload is refused and changes nothing."""
    uploads, published = Uploads(target, LIMITS), publish_version()
    begun = uploads.begin("m", manifest_of(published), NOW)
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
    assert uploads.begin("m", manifest_of(published), NOW).files[0].received_bytes == 9


HASH = "0" * 64
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
    document = json.loads(manifest_of(publish_version()))
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
    document = json.loads(manifest_of(publish_version())) | change
    with pytest.raises(InvalidManifest, match=reason):
        Uploads(target, LIMITS).begin("m", json.dumps(document).encode(), NOW)
    assert everything(target) == []


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


def test_empty_files_and_folders_arrive(publish_version: Publish, target: Path) -> None:
    """A file of no bytes needs no part, and files lie in the folders that the manifest says."""
    published = publish_version()
    (published.directory / "weights").mkdir()
    (published.directory / "weights" / "w").write_bytes(b"abc")
    (published.directory / "empty").write_bytes(b"")
    entries = json.loads(manifest_of(published))
    for path, data in (("weights/w", b"abc"), ("empty", b"")):
        entries["files"].append(
            {"path": path, "size_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        )
    manifest = decode_manifest(json.dumps(entries).encode())
    grown = Published("m", 1, published.directory, "", True, manifest, ())
    placed = whole(Uploads(target, LIMITS), grown)
    assert (target / "m" / str(placed.version) / "weights" / "w").read_bytes() == b"abc"
    assert (target / "m" / str(placed.version) / "empty").read_bytes() == b""


@pytest.mark.parametrize("what", ["model", "staging", "file", "hard link"])
def test_no_link_is_followed(publish_version: Publish, target: Path, tmp_path: Path, what: str) -> None:
    """A link in place of model, staging directory or file is refused, and nothing is written behind it."""
    uploads, published = Uploads(target, LIMITS), publish_version()
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "examples.npz").write_bytes(b"")
    begun = uploads.begin("m", manifest_of(published), NOW)
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
        uploads.begin("m", manifest_of(published), NOW)
    with pytest.raises(UnsafeFile, match="link"):
        uploads.extend("m", begun.upload, 0, 0, b"x")
    assert (outside / "examples.npz").read_bytes() == b""
    assert [path.name for path in outside.iterdir()] == ["examples.npz"]


def test_a_registry_that_is_away_is_not_made(publish_version: Publish, target: Path) -> None:
    """An empty registry in place of one that is not mounted would unload everything: it is never made."""
    manifest = manifest_of(publish_version())
    target.rmdir()
    with pytest.raises(RegistryUnavailable, match="cannot be read"):
        Uploads(target, LIMITS).begin("m", manifest, NOW)
    assert not target.exists()
