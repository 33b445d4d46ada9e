"""The files of the page: whole, packed, named by content, and strict about what else may run."""

import asyncio
import gzip
import re

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from driftgate.gateway.dashboard.assets import Assets, find_charts, load_assets
from driftgate.gateway.dashboard.pages import Pages, page_routes

ASSETS = load_assets()


APP = Starlette(routes=[Route(path, endpoint) for path, endpoint in page_routes(Pages(ASSETS))])


def get(path: str, **headers: str) -> httpx.Response:
    """Ask a server of the pages alone."""

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app=APP)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return await client.get(path, headers={k.replace("_", "-"): v for k, v in headers.items()})

    return asyncio.run(ask())


def test_every_script_that_is_imported_is_there() -> None:
    """Modules import each other by names that exist, and nothing else."""
    scripts = {name: asset.body.decode() for name, asset in ASSETS.files.items() if name.endswith(".js")}
    for name, text in scripts.items():
        for imported in re.findall(r'from "\./([^"]+)";', text):
            assert imported in scripts, f"{name} imports {imported}"
        assert "innerHTML" not in text
        assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text), f"{name} names another machine"


def test_the_page_has_no_inline_script_and_allows_none() -> None:
    """Scripts come from this origin alone, and nobody may frame the page."""
    answer = get("/")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "unsafe-inline" not in policy
    assert "frame-ancestors 'none'" in policy
    assert not re.search(r"<script(?![^>]*src=)", answer.text)
    assert "@BUILD@" not in answer.text


def test_files_are_packed_and_kept() -> None:
    """A browser gets a file packed, keeps it for good, and asks for the page anew with its tag."""
    path = f"/dashboard/{ASSETS.build}/app.js"
    answer = get(path, accept_encoding="gzip")
    assert answer.headers["content-encoding"] == "gzip"
    assert "immutable" in answer.headers["cache-control"]
    assert answer.content == ASSETS.files["app.js"].body
    plain = get(path, accept_encoding="identity")
    assert "content-encoding" not in plain.headers
    assert plain.content == answer.content
    page = get("/")
    assert page.headers["cache-control"] == "no-cache"
    assert get("/", if_none_match=page.headers["etag"]).status_code == 304


def test_the_charting_library_is_sent_from_where_pip_put_it() -> None:
    """The one file of the package that is installed, found without importing it."""
    path, version = find_charts()
    assert path is not None
    answer = get(f"/dashboard/plotly/{version}", accept_encoding="gzip")
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.content == path.read_bytes()
    charts = ASSETS.charts_asset()
    assert charts is not None
    assert gzip.decompress(charts.packed) == charts.body


@pytest.mark.parametrize("path", ["app.css", "index.html", "..%2fassets.py", "app.js/"])
def test_nothing_else_is_sent(path: str) -> None:
    """Names that are not those of our files are no files."""
    assert path not in ASSETS.files


def test_a_missing_charting_library_is_no_error() -> None:
    """Without it there are no charts; tables have the same numbers."""
    assert Assets(ASSETS.page, ASSETS.build, ASSETS.files, None).charts_asset() is None
