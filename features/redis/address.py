"""Where Redis is: an address without its password, which lies in a file and is read for every connection.

So a password that changed needs no restart. No error tells the address, which somebody may have put a
password into. Pure, but for that file.
"""

import re
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qsl, quote, urlsplit

_OPTIONS = frozenset({"db", "ssl_ca_certs", "ssl_certfile", "ssl_keyfile"})
_FORM = (
    "it looks like redis://user@host:6379/0 (0 is the number of the database), rediss://… for TLS, or "
    "unix:///path/of/socket?db=0"
)


class RedisAddress(NamedTuple):
    """A URL, and the file with the password that belongs to it, if there is one."""

    url: str
    password_file: str = ""

    def __repr__(self) -> str:
        return "RedisAddress()"

    def with_password(self) -> str:
        """Return the URL to connect to, never to be shown; raise ValueError if it is none."""
        _check(self.url)
        if not self.password_file:
            return self.url
        try:
            password = Path(self.password_file).read_text().strip()
        except (OSError, UnicodeDecodeError):
            raise ValueError("the file with the password of Redis cannot be read") from None
        if not password:
            raise ValueError("the file with the password of Redis is empty")
        url = urlsplit(self.url)
        host = url.netloc.rpartition("@")[2]
        return url._replace(netloc=f"{url.username or ''}:{quote(password, safe='')}@{host}").geturl()


def _check(text: str) -> None:
    """Raise ValueError where the library would guess, or leave out what it does not understand."""
    try:
        url = urlsplit(text)
        sound = url.port is None or url.port > 0
    except ValueError:
        raise ValueError(f"the URL of Redis is not valid; {_FORM}") from None
    if url.scheme == "unix":
        sound &= bool(url.path)
    else:
        sound &= url.scheme in ("redis", "rediss") and bool(url.hostname)
        sound &= re.fullmatch(r"/?[0-9]*", url.path) is not None
    options = {name for name, _ in parse_qsl(url.query, keep_blank_values=True)}
    if not sound or url.fragment:
        raise ValueError(f"the URL of Redis is not valid; {_FORM}")
    if not options <= _OPTIONS:
        raise ValueError(f"the URL of Redis may have these options behind '?': {', '.join(sorted(_OPTIONS))}")
