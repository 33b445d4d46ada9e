"""Receivers are told, signed and in time; whatever the other side does is harmless."""

import asyncio
import contextlib
import os
import time
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from driftgate.monitoring.alerts.command_receiver import Command
from driftgate.monitoring.alerts.delivery import NotDelivered, Receiver
from driftgate.monitoring.alerts.public_addresses import is_public
from driftgate.monitoring.alerts.webhook import TIMESTAMP, Webhook

from harness.certificates import certificate_in
from harness.webhooks import Reply, answers, webhook_receiver

SECRET = b"a secret of this test"
WITHIN_S = 1.0


@pytest.fixture(name="secret")
def secret_fixture(tmp_path: Path) -> Path:
    """A file with the secret."""
    path = tmp_path / "secret"
    path.write_bytes(SECRET + b"\n")
    return path


def deliver(receiver: Receiver, body: bytes = b"{}") -> str:
    """Deliver once; return why it failed, with a "!" if it must not be tried again, or an empty text."""
    try:
        asyncio.run(receiver.deliver(body, "d1", 1_700_000_000))
    except NotDelivered as error:
        return str(error) + ("" if error.again else "!")
    return ""


def test_a_webhook_is_signed(secret: Path) -> None:
    """The receiver can check who sent what and when with the secret alone."""
    with webhook_receiver() as receiver:
        assert deliver(Webhook(secret, receiver.url, allow_private=True), b'{"a": 1}') == ""
        (taken,) = receiver.taken
    assert taken.body == b'{"a": 1}'
    assert taken.headers[TIMESTAMP] == "1700000000"
    assert taken.is_signed_with(SECRET)
    assert not taken.is_signed_with(b"another")


def test_a_secret_url_is_read_from_its_file(secret: Path, tmp_path: Path) -> None:
    """An address that is itself a secret need not stand in the settings."""
    with webhook_receiver() as receiver:
        (tmp_path / "url").write_text(receiver.url + "\n")
        assert deliver(Webhook(secret, url_file=tmp_path / "url", allow_private=True)) == ""
        assert len(receiver.taken) == 1


@pytest.fixture(name="certificate")
def certificate_fixture(tmp_path: Path) -> Path:
    """Make a certificate for `localhost`."""
    return certificate_in(tmp_path)


def test_certificates_are_checked_by_name(secret: Path, certificate: Path) -> None:
    """The address is pinned and the name is checked: another name or authority is no receiver."""
    with webhook_receiver(certificate=certificate) as receiver:
        trusting = Webhook(secret, receiver.url, allow_private=True, ca_file=certificate)
        assert deliver(trusting) == ""
        wrong_name = replace(trusting, url=receiver.url.replace("localhost", "127.0.0.1"))
        for refused in (wrong_name, replace(trusting, ca_file=None)):
            assert deliver(refused) == "cannot be reached: ConnectError"
        assert len(receiver.taken) == 1


def hangs(request: BaseHTTPRequestHandler) -> None:
    """Answer nothing for long."""
    time.sleep(4 * WITHIN_S)


def drips(request: BaseHTTPRequestHandler) -> None:
    """Send a header that never ends, byte by byte."""
    with contextlib.suppress(OSError):
        for _ in range(100):
            request.wfile.write(b"x")
            request.wfile.flush()
            time.sleep(WITHIN_S / 10)


def floods(request: BaseHTTPRequestHandler) -> None:
    """Answer ten gigabytes."""
    with contextlib.suppress(OSError):
        request.send_response(200)
        request.send_header("content-length", str(10**10))
        request.end_headers()
        for _ in range(10_000):
            request.wfile.write(b"x" * 2**20)


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        (hangs, "no answer within 1 s"),
        (drips, "no answer within 1 s"),
        (floods, ""),
        (answers(302, location="http://127.0.0.1:1/"), "answered 302!"),
        (answers(404), "answered 404!"),
        (answers(429), "answered 429"),
        (answers(503), "answered 503"),
    ],
)
def test_a_webhook_that_misbehaves_is_harmless(secret: Path, reply: Reply, outcome: str) -> None:
    """A delivery ends in time, reads a status alone, follows nothing, and knows whether to try again."""
    with webhook_receiver(reply) as receiver:
        began = time.monotonic()
        said = deliver(Webhook(secret, receiver.url, allow_private=True, within_s=WITHIN_S))
        assert time.monotonic() - began < 3 * WITHIN_S
        assert len(receiver.taken) == 1
    assert said == outcome


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "169.254.169.254", "10.0.0.1", "[::]"])
def test_a_webhook_never_reaches_a_private_address(secret: Path, host: str) -> None:
    """What is not public is refused before anything is sent, by name or by number."""
    webhook = Webhook(secret, f"https://{host}/", within_s=5)
    assert deliver(webhook) == "its address is not public (see allow_private)!"


@pytest.mark.parametrize("url", ["http://example.invalid/", "ftp://x/", "file:///etc/passwd", "no url", ""])
def test_a_webhook_is_https(secret: Path, url: str) -> None:
    """Anything else is refused, but http:// to a private address that is allowed."""
    assert deliver(Webhook(secret, url, url_file=secret)).endswith("(http:// needs allow_private)!")


def test_what_fails_says_nothing_secret(secret: Path) -> None:
    """The reason of a failure names neither address nor path nor secret."""
    with webhook_receiver() as receiver:
        url = receiver.url
    for said in (
        deliver(Webhook(secret, f"{url}/token-of-mine", allow_private=True)),
        deliver(Webhook(Path("/nowhere/at-all"), url)),
    ):
        assert said
        assert not any(word in said for word in ("127.0.0.1", "token-of-mine", "nowhere", SECRET.decode()))


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1::1", True),
        ("192.168.1.1", False),
        ("100.64.0.1", False),
        ("224.0.0.1", False),
        ("240.0.0.1", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("::ffff:10.0.0.1", False),
        ("::ffff:93.184.216.34", True),
        ("::127.0.0.1", False),
        ("64:ff9b::a00:1", False),
        ("2002:7f00:1::", False),
        ("2001:0:4136:e378:8000:63bf:f5ff:fffe", False),
    ],
)
def test_public_addresses(address: str, public: bool) -> None:
    """An address is as public as what it carries."""
    assert is_public(address) is public


def test_a_command_reads_the_document(tmp_path: Path) -> None:
    """A command gets the document on its standard input, and no shell sees its arguments."""
    target = tmp_path / "$(touch oops); said"
    assert deliver(Command(("tee", str(target))), b'{"a": 1}') == ""
    assert target.read_bytes() == b'{"a": 1}'
    assert sorted(os.listdir(tmp_path)) == [target.name]


@pytest.mark.parametrize(
    ("argv", "outcome"),
    [
        (("false",), "the command ended with 1"),
        (("/nowhere/at-all",), "the command cannot be started: FileNotFoundError"),
        (("sh", "-c", "sleep 60 & sleep 60"), "the command did not end within 1 s"),
        (("yes",), "the command did not end within 1 s"),
    ],
)
def test_a_command_that_fails_is_harmless(argv: tuple[str, ...], outcome: str) -> None:
    """It is ended in time, with all that it started, and what it writes goes nowhere."""
    assert deliver(Command(argv, within_s=WITHIN_S)) == outcome


def test_a_command_sees_no_secrets_of_the_gateway(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of the gateway is not handed on."""
    monkeypatch.setenv("DRIFTGATE_TOKEN", "secret")
    assert deliver(Command(("sh", "-c", f"env > {tmp_path}/env"))) == ""
    assert "secret" not in (tmp_path / "env").read_text()
