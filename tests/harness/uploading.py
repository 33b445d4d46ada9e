"""Uploads by hand, request by request, to a control room."""

from typing import Any

import httpx

from driftgate.models.publish.onnx_file import Published

from harness.control_room import ControlRoom
from harness.upload_parts import everything

UPLOADS = "/api/models/m/uploads"


def files_of(built: Published) -> list[bytes]:
    """Return the content of every file, in the manifest's order."""
    return [(built.directory / entry.path).read_bytes() for entry in built.manifest.files]


async def begin(room: ControlRoom, manifest: bytes) -> dict[str, Any]:
    """Begin an upload and return the answer."""
    answer = await room.client.post(UPLOADS, content=manifest)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def put(room: ControlRoom, upload: str, number: int, offset: int, data: Any) -> httpx.Response:
    """Send one part."""
    return await room.client.put(f"{UPLOADS}/{upload}/files/{number}?offset={offset}", content=data)


async def commit(room: ControlRoom, upload: str) -> httpx.Response:
    """Ask for the version to be placed."""
    return await room.client.post(f"{UPLOADS}/{upload}/commit")


def left(room: ControlRoom) -> list[str]:
    """Return what lies in the registry, hidden or not."""
    return everything(room.root / "registry")
