"""A receiver of notifications that is called over HTTPS: signed, bounded, and on the internet."""

import asyncio
import contextlib
import hashlib
import hmac
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

import httpx

from driftgate.monitoring.alerts.delivery import DELIVERY_S, NotDelivered
from driftgate.monitoring.alerts.public_addresses import is_public

MOST_ADDRESSES = 4
"""Of one name, tried one after the other."""
MOST_SECRET_BYTES = 4096
TIMESTAMP, SIGNATURE, DELIVERY = "x-driftgate-timestamp", "x-driftgate-signature", "x-driftgate-delivery"
_DONE, _AGAIN = range(200, 300), frozenset({408, 425, 429})
_PORTS = {"https": 443, "http": 80}


class _Request(NamedTuple):
    body: bytes
    headers: dict[str, str]
    host: str


@dataclass(frozen=True)
class Webhook:
    """An address that is sent POST requests, signed with a secret.

    The address is looked up once per attempt; what was checked is what is connected to. `url_file` in place
    of `url` keeps an address that is a secret itself out of the settings. Secrets are read at each attempt.
    Certificates are checked against `ca_file`, if there is one, instead of the usual authorities.
    """

    secret_file: Path
    url: str = ""
    url_file: Path | None = None
    allow_private: bool = False
    ca_file: Path | None = None
    within_s: float = DELIVERY_S

    async def deliver(self, body: bytes, delivery: str, now_s: int) -> None:
        """Post the document; raise NotDelivered."""
        headers = signed(_read_secret(self.secret_file), body, delivery, now_s)
        text = self.url or (_read_secret(self.url_file).decode(errors="replace") if self.url_file else "")
        try:
            async with asyncio.timeout(self.within_s):
                status = await self._post(urlsplit(text), body, headers)
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
        addresses = await self._addresses(host, url.port or _PORTS[url.scheme])
        request = _Request(body, headers | {"host": url.netloc.rpartition("@")[2]}, host)
        trusted = ssl.create_default_context(cafile=self.ca_file) if self.ca_file else True
        # No proxies from the environment: they would resolve the name once more, unchecked
        async with httpx.AsyncClient(
            verify=trusted, trust_env=False, follow_redirects=False, timeout=self.within_s
        ) as client:
            for address in addresses[:-1]:
                with contextlib.suppress(httpx.ConnectError):
                    return await _status(client, _pinned(url, address), request)
            return await _status(client, _pinned(url, addresses[-1]), request)

    async def _addresses(self, host: str, port: int) -> list[str]:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = [str(sockaddr[0]) for *_, sockaddr in found]
        allowed = [one for one in addresses if self.allow_private or is_public(one)]
        if not allowed:
            raise NotDelivered("its address is not public (see allow_private)", again=False)
        return allowed[:MOST_ADDRESSES]


async def _status(client: httpx.AsyncClient, url: str, request: _Request) -> int:
    """Return the status of an answer, unread beyond that; `host` is what the certificate must be for."""
    extensions = {"sni_hostname": request.host}
    asked = client.stream("POST", url, content=request.body, headers=request.headers, extensions=extensions)
    async with asked as answer:
        return answer.status_code


def _pinned(url: SplitResult, address: str) -> str:
    netloc = f"[{address}]" if ":" in address else address
    return url._replace(netloc=f"{netloc}:{url.port}" if url.port else netloc, fragment="").geturl()


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
