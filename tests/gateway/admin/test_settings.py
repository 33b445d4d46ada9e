"""Settings of a model over the admin API."""

import asyncio
from io import BytesIO
from pathlib import Path

import httpx

from driftgate.gateway.admin.access import AdminAccess
from driftgate.gateway.admin.api import AdminApi, admin_app
from driftgate.gateway.admin.settings import SettingsApi, settings_routes
from driftgate.gateway.logs import Logger
from driftgate.models.cache import VersionCache

from harness.control_room import control_room


def test_a_registry_that_is_gone_is_no_missing_model(tmp_path: Path) -> None:
    """While the registry cannot be read the answer is 503 and says so, not that there is no such model."""

    async def run() -> None:
        async with control_room(tmp_path) as room:
            logger = Logger("control", stream=BytesIO())
            api = AdminApi(room.loop, VersionCache(room.layout.cache), logger, "http://127.0.0.1:1")
            routes = settings_routes(SettingsApi(room.loop, tmp_path / "registry", logger))
            transport = httpx.ASGITransport(admin_app(api, AdminAccess(), routes))
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
                await room.until(lambda: room.loop.facts().registry, "the registry")
                assert (await client.get("/api/models/m/settings")).status_code == 404
                (tmp_path / "registry").rename(tmp_path / "gone")
                await room.until(lambda: room.loop.facts().registry is None, "the registry is gone")
                answer = await client.get("/api/models/m/settings")
                assert (answer.status_code, "cannot be read" in answer.text) == (503, True), answer.text

    (tmp_path / "registry").mkdir(exist_ok=True)
    asyncio.run(run())
