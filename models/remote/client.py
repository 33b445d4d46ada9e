"""Send a version to a gateway, and read one from it: part by part, going on after whatever breaks off.

The gateway says what is missing, so a sender that is started again sends only that. It waits and tries again
where the gateway is away, busy or restarting, for as long as something has moved not long ago.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, TypeVar
from urllib.parse import quote

import httpx
import msgspec

from driftgate.models.errors import ServerRefused, ServerUnreachable, UnsafeFile
from driftgate.models.remote.upload_types import PART_BYTES, FileProgress, PlacedVersion, UploadProgress
from driftgate.models.schema.manifest import MANIFEST_FILE, Manifest, decode_manifest

CONNECT_S = 5.0
PART_S = 60.0
WHOLE_S = 900.0
"""For answers that need every file of a large version to be read."""

FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 2.0
_LATER = frozenset({423, 429, 502, 503, 504})
_BEGIN_AGAIN = frozenset({404, 409})

T = TypeVar("T")


def no_progress(sent_bytes: int, all_bytes: int) -> None:
    """Tell nobody how far an upload is."""


@dataclass(frozen=True)
class Server:
    """A gateway's admin API. `progress` hears how many bytes of all have arrived.

    A send is given up when nothing has moved for `patience_s`, or at once if the server never answered.
    """

    url: str
    token: str | None = None
    patience_s: float = 60.0
    progress: Callable[[int, int], None] = no_progress


class VersionSource(Protocol):
    """A version that can be read in parts."""

    def manifest(self) -> bytes:
        """Return the bytes of manifest.json."""
        ...

    def part(self, number: int, offset: int) -> bytes:
        """Return some bytes of file `number` of the manifest, from `offset` on."""
        ...


class LocalVersion:
    """A version in a directory of this machine."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._files = decode_manifest(self.manifest()).files

    def manifest(self) -> bytes:
        """Return the bytes of manifest.json."""
        return (self._directory / MANIFEST_FILE).read_bytes()

    def part(self, number: int, offset: int) -> bytes:
        """Return at most PART_BYTES of file `number`, from `offset` on."""
        with open(self._directory / self._files[number].path, "rb") as file:
            file.seek(offset)
            return file.read(PART_BYTES)


class RemoteVersion:
    """A version in the registry of a gateway."""

    def __init__(self, connection: "Connection", model: str, version: int) -> None:
        self._connection = connection
        self._path = f"{model_path(model)}/versions/{version}"

    def manifest(self) -> bytes:
        """Return the bytes of manifest.json; raise ServerRefused, with 404 where there is no such version."""
        return self._connection.ask("GET", f"{self._path}/manifest")

    def part(self, number: int, offset: int) -> bytes:
        """Return some bytes of file `number`, from `offset` on."""
        return self._connection.ask("GET", f"{self._path}/files/{number}?offset={offset}")


class Connection:
    """An open connection to a gateway; use it as a context manager."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.reached = False
        headers = {"authorization": f"Bearer {server.token}"} if server.token else {}
        # Proxies are for the internet; an admin API is on this machine or behind a tunnel to it.
        self._client = httpx.Client(trust_env=False, headers=headers)

    def __enter__(self) -> "Connection":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def ask(self, method: str, path: str, content: bytes | None = None, within_s: float = PART_S) -> bytes:
        """Return the body of an answer; raise ServerRefused or ServerUnreachable."""
        url = self.server.url.rstrip("/")
        try:
            timeout = httpx.Timeout(within_s, connect=CONNECT_S)
            answer = self._client.request(method, url + path, content=content, timeout=timeout)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise ServerUnreachable(
                f"no answer from {url} ({type(error).__name__}): name a gateway's admin API, such as "
                "http://127.0.0.1:8090"
            ) from error
        self.reached = True
        if answer.status_code >= 300:
            raise ServerRefused(_error_text(answer), answer.status_code)
        return answer.content

    def ask_for(self, kind: type[T], method: str, path: str, content: bytes, within_s: float = PART_S) -> T:
        """Return the JSON of an answer as a `kind`."""
        try:
            return msgspec.json.decode(self.ask(method, path, content, within_s), type=kind)
        except msgspec.MsgspecError as error:
            raise ServerRefused(f"{self.server.url} is not the admin API of a Driftgate", 400) from error


def model_path(name: str) -> str:
    """Return the path of a model in the admin API."""
    return f"/api/models/{quote(name, safe='')}"


def send_version(source: VersionSource, manifest_bytes: bytes, connection: Connection) -> PlacedVersion:
    """Make the files of `source` the version that the manifest describes, in the registry of a gateway.

    Raises ServerRefused (409: the number holds other content), ServerUnreachable, or UnsafeFile where a file
    of the source is shorter than its manifest says.
    """
    sending = _Sending(source, manifest_bytes, decode_manifest(manifest_bytes), connection)
    pause_s = FIRST_PAUSE_S
    while True:
        moved_before = sending.moved_at
        try:
            return sending.attempt()
        except (ServerRefused, ServerUnreachable) as error:
            if not sending.may_go_on(error):
                raise
        pause_s = FIRST_PAUSE_S if sending.moved_at > moved_before else min(2 * pause_s, LONGEST_PAUSE_S)
        time.sleep(pause_s)


class _Sending:
    """One version on its way; `moved_at` is when something last arrived."""

    def __init__(
        self, source: VersionSource, manifest_bytes: bytes, manifest: Manifest, connection: Connection
    ) -> None:
        self._source = source
        self._manifest_bytes = manifest_bytes
        self._connection = connection
        self._uploads = f"{model_path(manifest.name)}/uploads"
        self._all_bytes = manifest.size_bytes
        self._begun = False
        self.moved_at = time.monotonic()

    def attempt(self) -> PlacedVersion:
        """Ask what is missing, send it, and have the version placed."""
        self._begun = False
        ask_for = self._connection.ask_for
        progress = ask_for(UploadProgress, "POST", self._uploads, self._manifest_bytes, WHOLE_S)
        self._begun = True
        if progress.published:
            return progress.published
        arrived = sum(file.received_bytes for file in progress.files)
        for number, file in enumerate(progress.files):
            arrived = self._send_file(progress, number, file, arrived)
        return ask_for(PlacedVersion, "POST", f"{self._uploads}/{progress.upload}/commit", b"", WHOLE_S)

    def may_go_on(self, error: ServerRefused | ServerUnreachable) -> bool:
        """Tell whether another attempt makes sense after this error."""
        if time.monotonic() - self.moved_at > self._connection.server.patience_s:
            return False
        if isinstance(error, ServerUnreachable):
            return self._connection.reached
        return error.status in _LATER or (self._begun and error.status in _BEGIN_AGAIN)

    def _send_file(self, progress: UploadProgress, number: int, file: FileProgress, arrived: int) -> int:
        path = f"{self._uploads}/{progress.upload}/files/{number}"
        received = file.received_bytes
        while received < file.size_bytes:
            most = min(file.size_bytes - received, progress.part_bytes)
            part = self._source.part(number, received)[:most]
            if not part:
                raise UnsafeFile(f"{file.path!r} has {received} of {file.size_bytes} bytes: it changed")
            after = self._connection.ask_for(FileProgress, "PUT", f"{path}?offset={received}", part)
            arrived += after.received_bytes - received
            received = after.received_bytes
            self.moved_at = time.monotonic()
            self._connection.server.progress(arrived, self._all_bytes)
        return arrived


def _error_text(answer: httpx.Response) -> str:
    try:
        return msgspec.json.decode(answer.content, type=dict[str, str])["error"]
    except (msgspec.MsgspecError, KeyError):
        return f"the server answered {answer.status_code}"
