"""The files of the dashboard: packed once and named by content, so that browsers keep them.

Everything comes from this package and from the charting library as pip installed it; no other machine is
asked.
"""

import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from importlib.resources import files
from pathlib import Path

CHARTS = "plotly"
_CHARTS_FILE = "plotly/package_data/plotly.min.js"
_BUILD = "@BUILD@"
_CHARTS_URL = "@CHARTS@"
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_KEEP = "public, max-age=31536000, immutable"
_ASK = "no-cache"
SAFETY: Mapping[str, str] = {
    # The charting library adds two style elements: an empty one, and one for maps, which we do not draw.
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self' "
        "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=' "
        "'sha256-ji27qzEtxXZW+7dun6UwjHXJ18e6WAin1VvNtkzIE/o='; "
        "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


@dataclass(frozen=True)
class Asset:
    """One file as it is sent; `tag` names its content. `cache` is what browsers are told to do with it."""

    body: bytes
    packed: bytes
    media_type: str
    tag: str
    cache: str

    def headers(self, is_packed: bool) -> dict[str, str]:
        """Return the headers of an answer with it."""
        found = {
            **SAFETY,
            "content-type": self.media_type,
            "cache-control": self.cache,
            "etag": f'"{self.tag}"',
            "vary": "accept-encoding",
        }
        return found | ({"content-encoding": "gzip"} if is_packed else {})


@dataclass(frozen=True)
class Assets:
    """The page and the files below `/dashboard/<build>/`, by name; `charts` is None where it is missing."""

    page: Asset
    build: str
    files: Mapping[str, Asset]
    charts: Path | None

    def charts_asset(self) -> Asset | None:
        """Read and pack the charting library: a quarter of a second."""
        try:
            return _asset(CHARTS + ".js", self.charts.read_bytes(), _KEEP) if self.charts else None
        except OSError:
            return None


def load_assets() -> Assets:
    """Read the files of the dashboard from this package."""
    static = files("driftgate.gateway.dashboard").joinpath("static")
    found = {one.name: one.read_bytes() for one in static.iterdir() if one.is_file()}
    page = found.pop("index.html")
    charts, version = find_charts()
    build = _tag(b"".join(name.encode() + body for name, body in sorted(found.items())))
    text = page.decode().replace(_BUILD, build).replace(_CHARTS_URL, f"/dashboard/{CHARTS}/{version}")
    return Assets(
        page=_asset("index.html", text.encode(), _ASK),
        build=build,
        files={name: _asset(name, body, _KEEP) for name, body in found.items()},
        charts=charts,
    )


def find_charts() -> tuple[Path | None, str]:
    """Return where pip put the charting library's one file, and its version; it is not imported."""
    try:
        found = distribution(CHARTS)
    except PackageNotFoundError:
        return None, "missing"
    path = Path(str(found.locate_file(_CHARTS_FILE)))
    return (path if path.is_file() else None), found.version


def _asset(name: str, body: bytes, cache: str) -> Asset:
    media_type = _TYPES[Path(name).suffix]
    return Asset(body, gzip.compress(body, 6, mtime=0), media_type, _tag(body), cache)


def _tag(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()[:16]
