"""Sends the dashboard's files: one page, its scripts and styles, and the charting library."""

import asyncio
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response

from driftgate.gateway.dashboard.assets import CHARTS, Asset, Assets
from driftgate.gateway.errors import NotFound

NO_CHARTS = "the charting library is not installed: pip install 'driftgate[server]'"


class Pages:
    """The endpoints. The charting library is read when it is first asked for."""

    def __init__(self, assets: Assets) -> None:
        self._assets = assets
        self._charts: Asset | None = None
        self._reading = asyncio.Lock()

    async def page(self, request: Request) -> Response:
        """Answer the page; everything in it is drawn by its scripts."""
        return sent(request, self._assets.page)

    async def file(self, request: Request) -> Response:
        """Answer a script or a style; raise NotFound for one of another build of the page."""
        found = self._assets.files.get(request.path_params["file"])
        if found is None or request.path_params["build"] != self._assets.build:
            raise NotFound("the dashboard has no such file; reload the page")
        return sent(request, found)

    async def charts(self, request: Request) -> Response:
        """Answer the charting library; raise NotFound where it is not installed."""
        async with self._reading:
            if self._charts is None:
                self._charts = await asyncio.to_thread(self._assets.charts_asset)
        if self._charts is None:
            raise NotFound(NO_CHARTS)
        return sent(request, self._charts)


def sent(request: Request, asset: Asset) -> Response:
    """Return an answer with an asset, packed if the browser takes that, empty if it has it already."""
    is_packed = "gzip" in request.headers.get("accept-encoding", "")
    headers = asset.headers(is_packed)
    if asset.tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(asset.packed if is_packed else asset.body, headers=headers)


def page_routes(pages: Pages) -> list[tuple[str, Callable[[Request], Awaitable[Response]]]]:
    """Return the paths of the dashboard and who answers them."""
    return [
        ("/", pages.page),
        (f"/dashboard/{CHARTS}/{{version}}", pages.charts),
        ("/dashboard/{build}/{file}", pages.file),
    ]
