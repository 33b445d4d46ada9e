"""Sending a version to a server that is busy, gone, full, or no gateway at all."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, HTTPServer

import msgspec
import pytest

from driftgate.models.errors import ServerRefused, ServerUnreachable, UnsafeFile
from driftgate.models.publish.onnx_file import Published
from driftgate.models.remote.client import Connection, LocalVersion, Server, send_version
from driftgate.models.remote.upload_types import FileProgress, PlacedVersion, UploadProgress
from driftgate.models.schema.manifest import encode_manifest

Publish = Callable[..., Published]
Answer = tuple[int, object]
Scripted = Callable[..., tuple[str, list[str]]]

BUSY: Answer = (423, {"error": "busy"})
PLACED = PlacedVersion("m", 1, "0" * 64, created=True)
THERE: Answer = (200, UploadProgress("", (), 9, PLACED))


@pytest.fixture
def scripted() -> Iterator[Scripted]:
    """Serve a list of answers, one after the other, and note what was asked."""
    with ExitStack() as running:

        def serve(*answers: Answer) -> tuple[str, list[str]]:
            asked: list[str] = []

            class Script(BaseHTTPRequestHandler):
                def do_POST(self) -> None:
                    self.rfile.read(int(self.headers["content-length"]))
                    status, document = answers[min(len(asked), len(answers) - 1)]
                    asked.append(f"{self.command} {self.path} {self.headers.get('authorization')}")
                    body = document if isinstance(document, bytes) else msgspec.json.encode(document)
                    self.send_response(status)
                    self.send_header("content-length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)

                do_PUT = do_POST

                def log_message(self, format: str, *values: object) -> None:
                    pass

            server = running.enter_context(HTTPServer(("127.0.0.1", 0), Script))
            threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
            running.callback(server.shutdown)
            return f"http://127.0.0.1:{server.server_port}", asked

        yield serve


def send(published: Published, server: Server) -> PlacedVersion:
    """Send a version to the next number."""
    manifest = encode_manifest(msgspec.structs.replace(published.manifest, version=0))
    with Connection(server) as connection:
        return send_version(LocalVersion(published.directory), manifest, connection)


def test_a_busy_server_is_asked_again(scripted: Scripted, publish_version: Publish) -> None:
    """Busy, full of uploads or behind a proxy that lost it: the sender waits, with its token every time."""
    later: list[Answer] = [BUSY, (429, {"error": "many"}), (503, {"error": "away"}), (502, b"<html>")]
    url, asked = scripted(*later, THERE)
    assert send(publish_version(), Server(url, "dg_1_a")) == PLACED
    assert asked == ["POST /api/models/m/uploads Bearer dg_1_a"] * 5


def test_what_was_lost_on_the_way_is_begun_again(scripted: Scripted, publish_version: Publish) -> None:
    """An upload that is gone, or elsewhere than was thought, is asked about and goes on."""
    published = publish_version()
    sizes = [(entry.path, entry.size_bytes) for entry in published.manifest.files]
    begun = UploadProgress("u", tuple(FileProgress(path, size, 0) for path, size in sizes), 10**6)
    arrived = UploadProgress("u", tuple(FileProgress(path, size, size) for path, size in sizes), 10**6)
    url, asked = scripted(
        (200, begun), (404, {"error": "gone"}), (200, arrived), (409, {"error": "not all"}), THERE
    )
    assert send(published, Server(url)) == PLACED
    assert [line.split("/")[-1].split(" ")[0] for line in asked] == [
        *("uploads", "0?offset=0", "uploads", "commit", "uploads")
    ]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 422, 507])
def test_a_refusal_is_final(scripted: Scripted, publish_version: Publish, status: int) -> None:
    """What waiting does not change is told at once, in the server's words."""
    url, asked = scripted((status, {"error": "because"}))
    with pytest.raises(ServerRefused, match="because") as refused:
        send(publish_version(), Server(url))
    assert (refused.value.status, len(asked)) == (status, 1)


@pytest.mark.parametrize("answer", [(200, b"<html>"), (200, b'{"other": 1}'), (302, b""), (500, b"oops")])
def test_what_is_no_gateway_is_told(scripted: Scripted, publish_version: Publish, answer: Answer) -> None:
    """An answer that no gateway gives ends the attempt; a redirect is not followed with the token."""
    url, asked = scripted(answer)
    with pytest.raises(ServerRefused):
        send(publish_version(), Server(url, "dg_1_a"))
    assert len(asked) == 1


def test_patience_ends(scripted: Scripted, publish_version: Publish) -> None:
    """A server that stays busy is given up when nothing has moved for long enough."""
    url, _ = scripted(BUSY)
    began = time.monotonic()
    with pytest.raises(ServerRefused, match="busy"):
        send(publish_version(), Server(url, patience_s=0.3))
    assert 0.3 <= time.monotonic() - began < 10


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "rubbish", "ftp://127.0.0.1", "http://["])
def test_where_nobody_answers(publish_version: Publish, url: str) -> None:
    """An address without a gateway fails at once and names what an address looks like."""
    with pytest.raises(ServerUnreachable, match="such as http://127"):
        send(publish_version(), Server(url))


def test_a_file_that_shrank_is_not_sent(scripted: Scripted, publish_version: Publish) -> None:
    """A version that changes while it is read is told, not sent for ever."""
    published = publish_version()
    entry = published.manifest.files[0]
    grown = UploadProgress("u", (FileProgress(entry.path, 10**9, entry.size_bytes),), 100)
    url, _ = scripted((200, grown))
    with pytest.raises(UnsafeFile, match="it changed"):
        send(published, Server(url))
