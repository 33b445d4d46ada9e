"""Speaking to the admin API from the command line."""

from typing import Annotated, Any, NamedTuple, TypeVar
from urllib.parse import quote

import httpx
import msgspec
import typer

from driftgate.gateway.cli.access_token import TOKEN_FILE_VARIABLE, TOKEN_VARIABLE, NoToken, environment_token
from driftgate.gateway.cli.contexts import server_url
from driftgate.gateway.cli.refused import Exit, Refused, exit_of

DEFAULT_SERVER = "http://127.0.0.1:8090"
SERVER_VARIABLE = "DRIFTGATE_SERVER"
ANSWER_S = 10.0
"""Patience with an answer, beyond the time that the server itself was asked to wait."""

NO_SUCH_CALL = ("Not Found", "the server answered 404")
"""What says that not the model is unknown, but the call: another port, or another server."""

T = TypeVar("T")

Server = Annotated[
    str,
    typer.Option(
        "--server",
        "--context",
        envvar=SERVER_VARIABLE,
        callback=server_url,
        help="Admin API of the gateway, or the name of a context.",
        show_envvar=True,
    ),
]


class Question(NamedTuple):
    """One call. `wait_s` is how long the server may take; `etag` is the state that it is made for."""

    method: str
    path: str
    body: Any = None
    wait_s: float = 0.0
    etag: str = ""


class AdminClient:
    """One admin API; every method raises Refused with the text for the person who called.

    The token comes from the environment: on a command line every user of the machine could read it.
    """

    def __init__(self, server: str) -> None:
        self._server = server.rstrip("/")

    def get(self, path: str, kind: type[T]) -> T:
        """Return the answer to a GET as a `kind`."""
        return self.ask(Question("GET", path), kind)[0]

    def change(self, method: str, path: str, body: dict[str, Any], kind: type[T]) -> T:
        """Return the answer to a changing call that is done at once."""
        return self.ask(Question(method, path, body), kind)[0]

    def ask(self, question: Question, kind: type[T]) -> tuple[T, str]:
        """Return the answer as a `kind`, and its ETag."""
        answer = self._send(question)
        if answer.status_code == 404 and _error_text(answer) in NO_SUCH_CALL:
            raise Refused(
                f"{self._server} is no admin API of this version: name that of the gateway, port 8090 unless "
                f"it was told otherwise, with --server or {SERVER_VARIABLE}",
                Exit.FAILED,
            )
        if answer.status_code >= 400:
            code = exit_of(answer.status_code)
            raise Refused(_why_refused(answer), code, outdated=answer.status_code == 412)
        try:
            return msgspec.json.decode(answer.content, type=kind), answer.headers.get("etag", "")
        except msgspec.MsgspecError as error:
            raise Refused(
                f"{self._server} is not a Driftgate of this version: {error}", Exit.FAILED
            ) from error

    def _send(self, question: Question) -> httpx.Response:
        headers = token_header() | ({"if-match": question.etag} if question.etag else {})
        try:
            # Proxies are for the internet; an admin API is on this machine or behind a tunnel to it.
            with httpx.Client(trust_env=False, timeout=question.wait_s + ANSWER_S) as client:
                url = self._server + question.path
                return client.request(question.method, url, json=question.body, headers=headers)
        except (httpx.ConnectError, httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise Refused(self._unreachable(), Exit.UNREACHABLE) from error
        except httpx.TimeoutException as error:
            raise Refused(f"{self._server} did not answer in time", Exit.TIMED_OUT) from error
        except httpx.HTTPError as error:
            raise Refused(f"{self._server} broke off: {type(error).__name__}", Exit.UNREACHABLE) from error

    def _unreachable(self) -> str:
        return (
            f"nothing answers at {self._server}: start `driftgate serve`, or name the gateway's admin API "
            f"with --server or {SERVER_VARIABLE}"
        )


def token_header() -> dict[str, str]:
    """Return the header with the caller's token, if any; raise Refused if it cannot be one."""
    try:
        token = environment_token()
    except NoToken as error:
        raise Refused(str(error), Exit.NOT_ALLOWED) from error
    return {"authorization": f"Bearer {token}"} if token else {}


def model_path(name: str, verb: str = "") -> str:
    """Return the path of a model, or of what is done to it."""
    return f"/api/models/{quote(name, safe='')}" + (f"/{verb}" if verb else "")


def _why_refused(answer: httpx.Response) -> str:
    """Return what the server says, and where commands take a token from if none was sent."""
    lacks_token = answer.status_code == 401 and "authorization" not in answer.request.headers
    hint = f" (commands take it from {TOKEN_VARIABLE} or the file that {TOKEN_FILE_VARIABLE} names)"
    return _error_text(answer) + (hint if lacks_token else "")


def _error_text(answer: httpx.Response) -> str:
    try:
        return msgspec.json.decode(answer.content, type=dict[str, str])["error"]
    except (msgspec.MsgspecError, KeyError):
        return f"the server answered {answer.status_code}"
