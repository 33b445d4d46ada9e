"""Delivering a notification: a webhook or a command takes it, or says why not. Whoever delivers has a loop.

Whatever the other side does, a delivery ends in time and holds little: answers are not read beyond their
status, redirects are not followed, output of commands is dropped.
"""

import asyncio
import contextlib
import hashlib
import hmac
import os
import signal
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import SplitResult, urlsplit

import httpx

from driftgate.monitoring.public_addresses import is_public

DELIVERY_S = 10.0
"""For all of one attempt, looking up the name included."""
MOST_SECRET_BYTES = 4096
TIMESTAMP, SIGNATURE, DELIVERY = "x-driftgate-timestamp", "x-driftgate-signature", "x-driftgate-delivery"
_DONE, _AGAIN = range(200, 300), frozenset({408, 425, 429})


class NotDelivered(Exception):
    """Why; without addresses, paths and secrets of the receiver. `again`: another attempt may succeed."""

    def __init__(self, text: str, again: bool = True) -> None:
        super().__init__(text)
        self.again = again


class Receiver(Protocol):
    """Takes notifications."""

    async def deliver(self, body: bytes, delivery: str, now_s: int) -> None:
        """Deliver a JSON document; `delivery` is the same for every attempt. Raises NotDelivered."""


@dataclass(frozen=True)
class Webhook:
    """An address that is sent POST requests, signed with a secret.

    The address is looked up once per attempt; what was checked is what is connected to. `url_file` in place
    of `url` keeps an address that is a secret itself out of the settings. Secrets are read at each attempt.
    """

    secret_file: Path
    url: str = ""
    url_file: Path | None = None
    allow_private: bool = False
    within_s: float = DELIVERY_S

    async def deliver(self, body: bytes, delivery: str, now_s: int) -> None:
        """Post the document; raise NotDelivered."""
        secret = _read_secret(self.secret_file)
        url = urlsplit(self.url or (_read_secret(self.url_file).decode() if self.url_file else ""))
        try:
            async with asyncio.timeout(self.within_s):
                status = await self._post(url, body, signed(secret, body, delivery, now_s))
        except TimeoutError as error:
            raise NotDelivered(f"no answer within {self.within_s:g} s") from error
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            raise NotDelivered(f"cannot be reached: {type(error).__name__}") from error
        if status not in _DONE:
            raise NotDelivered(f"answered {status}", again=status >= 500 or status in _AGAIN)

    async def _post(self, url: SplitResult, body: bytes, headers: dict[str, str]) -> int:
        host = url.hostname or ""
        if not host or url.scheme not in (("https", "http") if self.allow_private else ("https",)):
            raise NotDelivered("is no https:// URL (http:// needs allow_private)", again=False)
        address = await self._address(host, url.port or {"https": 443, "http": 80}[url.scheme])
        netloc = f"[{address}]" if ":" in address else address
        pinned = url._replace(netloc=f"{netloc}:{url.port}" if url.port else netloc, fragment="")
        given = headers | {"host": url.netloc.rpartition("@")[2]}
        # No proxies from the environment: they would resolve the name once more, unchecked
        async with (
            httpx.AsyncClient(trust_env=False, follow_redirects=False, timeout=self.within_s) as client,
            client.stream(
                "POST", pinned.geturl(), content=body, headers=given, extensions={"sni_hostname": host}
            ) as answer,
        ):
            return answer.status_code

    async def _address(self, host: str, port: int) -> str:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = [str(sockaddr[0]) for *_, sockaddr in found]
        allowed = [one for one in addresses if self.allow_private or is_public(one)]
        if not allowed:
            raise NotDelivered("its address is not public (see allow_private)", again=False)
        return allowed[0]


@dataclass(frozen=True)
class Command:
    """A program that is started with fixed arguments, without a shell, and reads the document."""

    argv: tuple[str, ...]
    within_s: float = DELIVERY_S

    async def deliver(self, body: bytes, delivery: str, now_s: int) -> None:
        """Run the program to its end; raise NotDelivered if it fails, takes too long or cannot be started."""
        nothing = asyncio.subprocess.DEVNULL
        try:
            process = await asyncio.create_subprocess_exec(
                *self.argv,
                stdin=asyncio.subprocess.PIPE,
                stdout=nothing,
                stderr=nothing,
                env={"PATH": os.defpath, "DRIFTGATE_DELIVERY": delivery},
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            raise NotDelivered(f"the command cannot be started: {type(error).__name__}") from error
        try:
            async with asyncio.timeout(self.within_s):
                await process.communicate(body)
        except TimeoutError as error:
            raise NotDelivered(f"the command did not end within {self.within_s:g} s") from error
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        if process.returncode:
            raise NotDelivered(f"the command ended with {process.returncode}")


def signed(secret: bytes, body: bytes, delivery: str, now_s: int) -> dict[str, str]:
    """Return the headers of a request: HMAC-SHA256 of `<timestamp>.<delivery>.<body>`, in hex."""
    said = f"{now_s}.{delivery}.".encode() + body
    signature = hmac.new(secret, said, hashlib.sha256).hexdigest()
    return {
        "content-type": "application/json",
        "user-agent": "driftgate",
        TIMESTAMP: str(now_s),
        DELIVERY: delivery,
        SIGNATURE: f"sha256={signature}",
    }


def _read_secret(path: Path) -> bytes:
    try:
        with open(path, "rb") as file:
            secret = file.read(MOST_SECRET_BYTES).strip()
    except OSError as error:
        raise NotDelivered(f"the file of its secret cannot be read: {error.strerror}") from error
    if not secret:
        raise NotDelivered("the file of its secret is empty")
    return secret
