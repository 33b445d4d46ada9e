"""The OpenAPI document of the data plane, made once for the versions that answer, however many ask for it."""

import asyncio
from collections.abc import Callable, Sequence

from driftgate import __version__
from driftgate.gateway.serving.served import ServedVersion
from driftgate.gateway.wire.openapi import DescribedModel, data_plane_document

Describe = Callable[[ServedVersion], DescribedModel]


class PlaneDocument:
    """Keeps the newest document of one worker; `describe` may read files, and is called in a thread."""

    def __init__(self, describe: Describe) -> None:
        self._describe = describe
        self._digests: tuple[str, ...] | None = None
        self._document: asyncio.Future[bytes] | None = None

    async def of(self, versions: Sequence[ServedVersion]) -> bytes:
        """Return the document of the versions that answer for their models."""
        digests = tuple(served.loaded.digest for served in versions)
        if self._document is None or digests != self._digests or _has_failed(self._document):
            self._digests = digests
            self._document = asyncio.ensure_future(asyncio.to_thread(self._make, list(versions)))
        # Shielded: who stops waiting does not stop it for the others
        return await asyncio.shield(self._document)

    def _make(self, versions: list[ServedVersion]) -> bytes:
        return data_plane_document(__version__, map(self._describe, versions))


def _has_failed(document: "asyncio.Future[bytes]") -> bool:
    return document.done() and (document.cancelled() or document.exception() is not None)
