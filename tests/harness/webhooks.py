"""A receiver of webhooks that remembers what it was sent, or does something wrong on purpose."""

import hashlib
import hmac
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

from driftgate.monitoring.alerts.webhook import DELIVERY, SIGNATURE, TIMESTAMP


class Taken(NamedTuple):
    """One request: its headers in lower case, and its body."""

    headers: Mapping[str, str]
    body: bytes

    def is_signed_with(self, secret: bytes) -> bool:
        """Check the signature as a receiver does."""
        said = f"{self.headers[TIMESTAMP]}.{self.headers[DELIVERY]}.".encode() + self.body
        expected = hmac.new(secret, said, hashlib.sha256).hexdigest()
        return hmac.compare_digest(self.headers[SIGNATURE], f"sha256={expected}")


Reply = Callable[[BaseHTTPRequestHandler], None]


def answers(status: int, **headers: str) -> Reply:
    """Return a reply with a status and headers."""

    def reply(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        for name, value in headers.items():
            request.send_header(name, value)
        request.send_header("content-length", "0")
        request.end_headers()

    return reply


class Receiver:
    """Where it listens, and what it took."""

    def __init__(self, reply: Reply) -> None:
        taken = self.taken = list[Taken]()
        self.stopping = threading.Event()

        class Handler(BaseHTTPRequestHandler):
            """Takes a POST."""

            def do_POST(self) -> None:
                headers = {name.lower(): value for name, value in self.headers.items()}
                taken.append(Taken(headers, self.rfile.read(int(headers["content-length"]))))
                reply(self)

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/hook"


@contextmanager
def webhook_receiver(
    reply: Reply = answers(204),  # noqa: B008 - makes a plain function
    certificate: Path | None = None,
) -> Iterator[Receiver]:
    """Run a receiver on a free port; with a `certificate`, which holds its key too, for `localhost`."""
    receiver = Receiver(reply)
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        receiver.server.socket = context.wrap_socket(receiver.server.socket, server_side=True)
        receiver.url = f"https://localhost:{receiver.server.server_address[1]}/hook"
    thread = threading.Thread(target=receiver.server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.server.shutdown()
        receiver.server.server_close()
        thread.join()
