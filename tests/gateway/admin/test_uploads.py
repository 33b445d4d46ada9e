"""Publishing over the admin API: parts in, a version out, and what is refused on the way."""

import asyncio
import hashlib
import json
import os
import resource
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from driftgate.models.publish.onnx_file import Published
from driftgate.models.remote.upload_types import PART_BYTES

from harness.control_room import ControlRoom, play
from harness.models import linear_model, publish_model
from harness.upload_parts import manifest_bytes
from harness.uploading import UPLOADS, begin, commit, files_of, left, put

pytestmark = pytest.mark.usefixtures("registry_root")


@pytest.fixture
def built(tmp_path: Path) -> Published:
    """A version as a publisher has built it, elsewhere."""
    return publish_model(linear_model(2.0), tmp_path / "elsewhere")


def test_a_version_is_published_and_found(tmp_path: Path, built: Published) -> None:
    """Manifest, files, commit: the version has a number and a digest, and control takes it up by itself."""

    async def scene(room: ControlRoom) -> None:
        begun = await begin(room, manifest_bytes(built))
        assert begun["part_bytes"] == PART_BYTES
        assert [one["received_bytes"] for one in begun["files"]] == [0, 0]
        for number, data in enumerate(files_of(built)):
            assert (await put(room, begun["upload"], number, 0, data)).status_code == 200
        placed = (await commit(room, begun["upload"])).json()
        manifest = (room.root / "registry/m/1/manifest.json").read_bytes()
        digest = hashlib.sha256(manifest).hexdigest()
        assert placed == {"name": "m", "version": 1, "digest": digest, "created": True}
        await room.until(lambda: room.held() == [1], "version 1 is held")
        again = await begin(room, manifest_bytes(built))
        assert again["published"] == placed | {"created": False}
        fetched = await room.client.get("/api/models/m/versions/1/manifest")
        assert fetched.content == manifest
        for number, data in enumerate(files_of(built)):
            part = await room.client.get(f"/api/models/m/versions/1/files/{number}?offset=3")
            assert part.content == data[3:]

    play(tmp_path, scene, workers=1)


BAD_MANIFESTS: list[tuple[bytes, int, str]] = [
    (b"", 400, "manifest.json"),
    (b"{", 400, "manifest.json"),
    (b"\xff\xfe", 400, "manifest.json"),
    (b"[" * 100_000, 400, "manifest.json"),
    (b'{"format": 3}', 400, "Upgrade Driftgate"),
    (b"x" * (16 * 2**20 + 1), 413, "16777216 bytes"),
]


@pytest.mark.parametrize(("manifest", "status", "reason"), BAD_MANIFESTS, ids=range(len(BAD_MANIFESTS)))
def test_a_wrong_manifest_is_refused(tmp_path: Path, manifest: bytes, status: int, reason: str) -> None:
    """What is no manifest, or too large for one, is a 4xx with the reason, and nothing is left behind."""

    async def scene(room: ControlRoom) -> None:
        answer = await room.client.post(UPLOADS, content=manifest)
        assert answer.status_code == status
        assert reason in answer.json()["error"]
        assert left(room) == []

    play(tmp_path, scene, workers=1)


def test_wrong_parts_are_refused(tmp_path: Path, built: Published) -> None:
    """Wrong hash, too long, too early, no such file: each has a status of its own and leaves no version."""

    async def scene(room: ControlRoom) -> None:
        files, manifest = files_of(built), manifest_bytes(built)
        upload = (await begin(room, manifest))["upload"]
        assert (await put(room, upload, 0, 5, b"x")).status_code == 409
        assert (await put(room, upload, 9, 0, b"x")).status_code == 404
        assert (await put(room, "0" * 64, 0, 0, b"x")).status_code == 404
        assert (await commit(room, upload)).status_code == 409
        large = await put(room, upload, 0, 0, bytes(PART_BYTES + 1))
        assert (large.status_code, large.json()["error"]) == (413, "the body has more than 4194304 bytes")
        for number in ("..%2Fx", "x", "-1", "1e3", "٣"):
            refused = await room.client.put(f"{UPLOADS}/{upload}/files/{number}?offset=0", content=b"x")
            assert refused.status_code in (400, 404)
        for offset in ("", "x", "-1", "9" * 30):
            refused = await room.client.put(f"{UPLOADS}/{upload}/files/0?offset={offset}", content=b"x")
            assert refused.status_code == 400
        wrong = await put(room, upload, 0, 0, bytes(len(files[0])))
        assert (wrong.status_code, left(room)) == (422, [])
        assert "SHA-256" in wrong.json()["error"]
        upload = (await begin(room, manifest))["upload"]
        over = await put(room, upload, 0, 0, files[0] + b"x")
        assert (over.status_code, left(room)) == (413, [])

    play(tmp_path, scene, workers=1)


def test_a_taken_number_is_a_conflict(tmp_path: Path, built: Published) -> None:
    """Other content under a number that is taken is refused before a byte of it is sent."""

    async def scene(room: ControlRoom) -> None:
        for version in (0, 1):
            manifest = manifest_bytes(built, version=version, meta={"round": str(version)})
            answer = await room.client.post(UPLOADS, content=manifest)
            if version:
                assert answer.status_code == 409
                assert "already exists with other content" in answer.json()["error"]
                return
            for number, data in enumerate(files_of(built)):
                await put(room, answer.json()["upload"], number, 0, data)
            assert (await commit(room, answer.json()["upload"])).status_code == 200

    play(tmp_path, scene, workers=1)


def test_open_uploads_are_bounded(tmp_path: Path, built: Published) -> None:
    """One more than may be open is told to come again, and one that is open may go on."""

    async def scene(room: ControlRoom) -> None:
        manifests = [manifest_bytes(built, meta={"round": str(number)}) for number in range(3)]
        first = await begin(room, manifests[0])
        await begin(room, manifests[1])
        assert (await room.client.post(UPLOADS, content=manifests[2])).status_code == 429
        assert (await begin(room, manifests[0]))["upload"] == first["upload"]

    play(tmp_path, scene, workers=1)


def test_an_upload_is_for_one_request_at_a_time(tmp_path: Path, built: Published) -> None:
    """While a part comes in, every other request for that upload is told to wait, and then it may go on."""

    async def scene(room: ControlRoom) -> None:
        manifest, files = manifest_bytes(built), files_of(built)
        upload = (await begin(room, manifest))["upload"]
        arriving, released = asyncio.Event(), asyncio.Event()

        async def slowly() -> AsyncIterator[bytes]:
            yield files[0][:9]
            arriving.set()
            await released.wait()
            yield files[0][9:]

        part = asyncio.create_task(put(room, upload, 0, 0, slowly()))
        await asyncio.wait_for(arriving.wait(), 5)
        assert (await put(room, upload, 0, 0, files[0])).status_code == 423
        assert (await commit(room, upload)).status_code == 423
        assert (await room.client.post(UPLOADS, content=manifest)).status_code == 423
        released.set()
        assert (await part).status_code == 200
        assert (await put(room, upload, 1, 0, files[1])).status_code == 200
        assert (await commit(room, upload)).json()["version"] == 1

    play(tmp_path, scene, workers=1)


def test_racing_publishers_never_get_one_number(tmp_path: Path, built: Published) -> None:
    """Uploads of other content that end at once get numbers of their own, without a gap."""

    async def scene(room: ControlRoom) -> None:
        uploads = []
        for number in range(2):
            begun = await begin(room, manifest_bytes(built, meta={"job": str(number)}))
            for file, data in enumerate(files_of(built)):
                await put(room, begun["upload"], file, 0, data)
            uploads.append(begun["upload"])
        answers = await asyncio.gather(*(commit(room, upload) for upload in uploads))
        assert sorted(answer.json()["version"] for answer in answers) == [1, 2]
        assert (await commit(room, uploads[0])).status_code == 404

    play(tmp_path, scene, workers=1)


def test_a_full_disk_has_a_reason(tmp_path: Path, built: Published) -> None:
    """A registry that takes no more is named as the reason, without a path, and then the upload goes on."""

    async def scene(room: ControlRoom) -> None:
        upload = (await begin(room, manifest_bytes(built)))["upload"]
        data = files_of(built)[0]
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(data) - 1, hard))
        try:
            full = await put(room, upload, 0, 0, data)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert full.status_code == 507
        assert full.json() == {"error": "the registry cannot take the version: File too large"}
        assert (await put(room, upload, 0, 0, data)).status_code == 200

    play(tmp_path, scene)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("m/versions/9/manifest", 404),
        ("absent/versions/1/manifest", 404),
        ("m/versions/0/manifest", 404),
        ("m/versions/x/manifest", 404),
        ("..%2Fm/versions/1/manifest", 404),
        ("m/versions/1/files/9?offset=0", 404),
        ("m/versions/1/files/0", 400),
        ("m/versions/1/files/0?offset=x", 400),
    ],
)
def test_downloads_refuse_what_is_not_there(tmp_path: Path, built: Published, path: str, status: int) -> None:
    """A version, file or offset that is none is a 4xx."""

    async def scene(room: ControlRoom) -> None:
        os.rename(built.directory.parent, room.root / "registry" / "m")
        answer = await room.client.get(f"/api/models/{path}")
        assert answer.status_code == status
        assert "error" in json.loads(answer.content)

    play(tmp_path, scene, workers=1)
