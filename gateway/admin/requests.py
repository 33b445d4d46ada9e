"""Reading requests of the admin API: bounded, strict, and only from where an operator can be.

JSON with the same key twice is refused here: of two weights for one version neither may win in silence.
"""

import ipaddress
import json
from typing import Any, TypeVar
from urllib.parse import urlsplit

import msgspec
from starlette.requests import Request

from driftgate.gateway.errors import BadRequest, Forbidden, PreconditionFailed, PreconditionRequired
from driftgate.gateway.http.small_bodies import read_small_body

DEFAULT_WAIT_S = 30.0
MAX_WAIT_S = 600.0

T = TypeVar("T")


async def read_body(request: Request, kind: type[T]) -> T:
    """Return the JSON object of the body as a `kind`; no body is an empty object, of any content type.

    Raises TooLarge, or BadRequest that names the field.
    """
    body = await read_small_body(request)
    try:
        return msgspec.convert(_parse(body) if body else {}, kind)
    except msgspec.ValidationError as error:
        raise BadRequest(f"the body is not what is expected: {error}") from error


def _parse(body: bytes) -> Any:
    try:
        return json.loads(body.decode(), object_pairs_hook=_without_repeats, parse_constant=_refuse)
    except RecursionError as error:
        raise BadRequest("the body is nested too deeply") from error
    except ValueError as error:
        raise BadRequest("the body is not JSON in UTF-8") from error


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document: dict[str, Any] = {}
    for key, value in pairs:
        if key in document:
            raise BadRequest(f"the key {key[:64]!r} is given twice")
        document[key] = value
    return document


def _refuse(constant: str) -> None:
    raise BadRequest(f"{constant} is not a number that JSON knows")


def expected_generation(request: Request) -> int | None:
    """Return the generation that `If-Match` names, None where any will do; it is the ETag of an answer.

    Raises PreconditionFailed for a tag that is none of ours.
    """
    given = request.headers.get("if-match", "*").strip()
    if given == "*":
        return None
    tag = given.removeprefix("W/").strip('"')
    if tag.isascii() and tag.isdecimal() and len(tag) <= 18:
        return int(tag)
    raise PreconditionFailed('If-Match must be the ETag of an answer, such as "41"')


def require_precondition(request: Request) -> None:
    """Raise PreconditionRequired without `If-Match`; `*` says that any state will do."""
    if "if-match" not in request.headers:
        raise PreconditionRequired(
            "this change replaces the whole split: send If-Match with the ETag of GET /api/models/{model}, "
            'such as "41", and it fails if somebody else was faster; or If-Match: * to change it in any case'
        )


def dry_run(request: Request) -> bool:
    """Return whether only to say what would change."""
    text = request.query_params.get("dry_run", "false")
    if text not in ("true", "false"):
        raise BadRequest("dry_run must be true or false")
    return text == "true"


def wait_seconds(request: Request) -> float:
    """Return how long the answer may wait for a change to end; `?wait=0` asks for an answer at once."""
    text = request.query_params.get("wait")
    if text is None:
        return DEFAULT_WAIT_S
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= MAX_WAIT_S:
        raise BadRequest(f"wait must be a number of seconds from 0 to {MAX_WAIT_S:g}")
    return seconds


def check_origin(request: Request, any_host: bool = False) -> None:
    """Raise Forbidden for what a web page of somebody else makes an operator's browser send.

    A foreign page can point a name of its own at this machine, so the host must be an address or localhost
    (unless `any_host`), and a page of another origin may change nothing.
    """
    host = request.headers.get("host", "")
    if not any_host and not _is_own_name(host):
        raise Forbidden("the admin API answers to localhost and to IP addresses, not to other host names")
    origin = request.headers.get("origin")
    own = (f"http://{host}", f"https://{host}")  # a proxy may have taken TLS off
    if origin is not None and request.method not in ("GET", "HEAD") and origin not in own:
        raise Forbidden("a page of another origin may not change anything here")


def _is_own_name(host: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or bool(ipaddress.ip_address(name))
    except ValueError:
        return False
