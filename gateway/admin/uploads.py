"""The admin API's part for versions that come from elsewhere, and go there: uploads and downloads.

A client never names a path: files are numbered as the manifest lists them. Every write is one thread's at a
time and off the event loop; the disk, not this object, knows what has arrived.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import msgspec
from msgspec.structs import replace
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from driftgate.gateway.access.guards import who_asks
from driftgate.gateway.admin.api import AdminRoute
from driftgate.gateway.admin.documents import EmptyRequest
from driftgate.gateway.admin.requests import read_body
from driftgate.gateway.control.feature_views import FeatureViewWatcher
from driftgate.gateway.errors import BadRequest, TooLarge
from driftgate.gateway.logs import Logger
from driftgate.gateway.state.feature_views import unfit_features
from driftgate.gateway.wire.openapi import Operation
from driftgate.models.errors import InvalidManifest, UploadBusy
from driftgate.models.remote.downloads import Downloads
from driftgate.models.remote.upload_types import PART_BYTES, FileProgress, PlacedVersion, UploadProgress
from driftgate.models.remote.uploaded_manifest import upload_id
from driftgate.models.remote.uploads import Uploads
from driftgate.models.schema.manifest import MAX_MANIFEST_BYTES, Manifest, decode_manifest
from driftgate.models.schema.names import parse_version

SWEEP_EVERY_S = 600.0
MAX_DIGITS = 18


class UploadsApi:
    """The endpoints. `look_again` is called when the registry holds a new version.

    A version that contradicts the declared feature `views` is refused before any of its files is sent; what
    else it lacks to be READY is told when it is placed.
    """

    def __init__(
        self,
        uploads: Uploads,
        downloads: Downloads,
        views: FeatureViewWatcher,
        logger: Logger,
        look_again: Callable[[], object],
    ) -> None:
        self._uploads = uploads
        self._downloads = downloads
        self._views = views
        self._logger = logger
        self._look_again = look_again
        self._busy: set[str] = set()
        self._beginning = asyncio.Lock()  # the number of open uploads is bounded

    async def begin(self, request: Request) -> Response:
        """Begin or resume the upload of the version with this manifest."""
        data = await _body(request, MAX_MANIFEST_BYTES)
        model = request.path_params["model"]
        manifest = await asyncio.to_thread(self._uploads.manifest_of, model, data)
        known = await self._views.look() if manifest.features else self._views.known
        async with self._alone(upload_id(manifest)), self._beginning:
            progress = await asyncio.to_thread(self._uploads.begin, model, data, time.time())
            if progress.published:
                return _json(replace(progress, published=self._told(progress.published, manifest)))
            unfit = unfit_features(manifest, known)
            if unfit is not None:
                await asyncio.to_thread(self._uploads.drop, model, progress.upload)
                raise InvalidManifest(unfit)
            return _json(progress)

    async def extend(self, request: Request) -> Response:
        """Take the next part of one file."""
        model, upload = request.path_params["model"], request.path_params["upload"]
        number, offset = _number(request.path_params["number"]), _number(request.query_params.get("offset"))
        async with self._alone(upload):
            part = await _body(request, PART_BYTES)
            progress = await asyncio.to_thread(self._uploads.extend, model, upload, number, offset, part)
            return _json(progress)

    async def commit(self, request: Request) -> Response:
        """Check the whole version and place it under its number."""
        model, upload = request.path_params["model"], request.path_params["upload"]
        await read_body(request, EmptyRequest)
        async with self._alone(upload):
            placed = await asyncio.to_thread(self._uploads.commit, model, upload)
        if placed.created:
            self._logger.info(
                "version_received",
                who=who_asks(request),
                model=placed.name,
                version=placed.version,
                digest=placed.digest,
            )
        self._look_again()
        data = await asyncio.to_thread(self._downloads.manifest, model, placed.version)
        return _json(self._told(placed, decode_manifest(data)))

    async def manifest(self, request: Request) -> Response:
        """Answer the manifest of a published version, to the byte."""
        model, version = request.path_params["model"], parse_version(request.path_params["version"])
        data = await asyncio.to_thread(self._downloads.manifest, model, version)
        return Response(data, media_type="application/json")

    async def part(self, request: Request) -> Response:
        """Answer the part of a published file that begins at `offset`."""
        model, version = request.path_params["model"], parse_version(request.path_params["version"])
        number, offset = _number(request.path_params["number"]), _number(request.query_params.get("offset"))
        data = await asyncio.to_thread(self._downloads.part, model, version, number, offset)
        return Response(data, media_type="application/octet-stream")

    async def keep_swept(self) -> None:
        """Give up what nobody finishes, now and from time to time, for as long as this runs."""
        while True:
            try:
                async with self._beginning:
                    await asyncio.to_thread(self._uploads.sweep, time.time())
            except OSError as error:
                self._logger.warning("uploads_not_swept", reason=error.strerror)
            await asyncio.sleep(SWEEP_EVERY_S)

    def _told(self, placed: PlacedVersion, manifest: Manifest) -> PlacedVersion:
        return replace(placed, waits_for=self._views.missing(manifest) or "")

    @asynccontextmanager
    async def _alone(self, what: str) -> AsyncIterator[None]:
        """Refuse whoever comes while another request has the same upload; a thread in it ends before it."""
        if what in self._busy:
            raise UploadBusy("another request is busy with this upload; try again in a moment")
        self._busy.add(what)
        try:
            yield
        finally:
            self._busy.discard(what)


def upload_routes(api: UploadsApi) -> list[AdminRoute]:
    """Return the routes of this part."""
    model = "/api/models/{model}"
    upload, version = f"{model}/uploads/{{upload}}", f"{model}/versions/{{version}}"
    rows = (
        ("POST", f"{model}/uploads", "Begin or resume an upload", Manifest, UploadProgress, api.begin),
        ("PUT", f"{upload}/files/{{number}}", "The next part of a file", None, FileProgress, api.extend),
        ("POST", f"{upload}/commit", "Make it a version", EmptyRequest, PlacedVersion, api.commit),
        ("GET", f"{version}/manifest", "The manifest, to the byte", None, Manifest, api.manifest),
        ("GET", f"{version}/files/{{number}}", "A part of a published file", None, None, api.part),
    )
    return [
        AdminRoute(Operation(method, path, summary, request, answer), endpoint)
        for method, path, summary, request, answer, endpoint in rows
    ]


async def _body(request: Request, most_bytes: int) -> bytes:
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > most_bytes:
                raise TooLarge(f"the body has more than {most_bytes} bytes")
    except ClientDisconnect as error:
        raise BadRequest("the body ended before it was whole") from error
    return bytes(body)


def _number(text: str | None) -> int:
    if text and text.isascii() and text.isdecimal() and len(text) <= MAX_DIGITS:
        return int(text)
    raise BadRequest("files are numbered from 0, and ?offset= is a number of bytes")


def _json(document: msgspec.Struct) -> Response:
    return Response(msgspec.json.encode(document), media_type="application/json")
