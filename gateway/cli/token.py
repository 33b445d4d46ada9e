"""`driftgate token`: give people and programs access to a gateway, and take it away."""

import os
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import typer

from driftgate.gateway.access.token_documents import NewTokenAnswer, RefusalsAnswer, TokenReport, TokensAnswer
from driftgate.gateway.access.token_store import TokenStore, Wish, utc_now
from driftgate.gateway.access.tokens import UnreadableTokens, quota_of
from driftgate.gateway.cli.admin_client import DEFAULT_SERVER, AdminClient, Server
from driftgate.gateway.cli.model_tables import print_json
from driftgate.gateway.cli.refused import EXIT_CODES
from driftgate.gateway.cli.token_tables import print_refusals, print_tokens
from driftgate.gateway.layout import StateLayout
from driftgate.gateway.listeners import CannotStart
from driftgate.gateway.state.slots import PRIVATE

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None, epilog=EXIT_CODES)

Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
State = Annotated[
    Path | None,
    typer.Option(help="Change this state directory on this machine, without asking the server."),
]


@app.callback()
def token() -> None:
    """Make, list and revoke access tokens."""


@app.command()
def create(  # noqa: PLR0913 - each is one option of the command
    name: Annotated[str, typer.Argument(metavar="NAME", help="Who gets it, such as a team or a job.")],
    scope: Annotated[list[str], typer.Option(help="What it is good for, such as infer:fraud*; repeatable.")],
    rate: Annotated[float | None, typer.Option(help="Predictions per second, over all workers.")] = None,
    burst: Annotated[int | None, typer.Option(help="Predictions at once. [a second's worth]")] = None,
    state: State = None,
    server: Server = DEFAULT_SERVER,
    json: Json = False,
) -> None:
    """Make a token and print it, once: only its hash is kept.

    Example: driftgate token create risk-team --scope 'infer:fraud*' --rate 50
    """
    quota = quota_of(rate, burst)
    if state is None:
        body = {"name": name, "scopes": scope, "requests_per_s": rate, "burst": burst}
        made = AdminClient(server).change("POST", "/api/tokens", body, NewTokenAnswer)
    else:
        made = _create_here(state, Wish(name, tuple(scope), quota))
    if json:
        print_json(made)
        return
    typer.echo(f"Token {made.token.id} for {made.token.name}: {', '.join(made.token.scopes)}", err=True)
    typer.echo("It is shown only now, and goes into requests as Authorization: Bearer TOKEN", err=True)
    typer.echo(made.secret)


@app.command("list")
def list_tokens(
    everything: Annotated[bool, typer.Option("--all", help="Those that were revoked, too.")] = False,
    state: State = None,
    server: Server = DEFAULT_SERVER,
    json: Json = False,
) -> None:
    """Show the tokens; their secrets are nowhere.

    Example: driftgate token list --all
    """
    answer = _list_here(state) if state else AdminClient(server).get("/api/tokens", TokensAnswer)
    shown = TokensAnswer(tuple(it for it in answer.tokens if everything or not it.revoked_at))
    print_json(shown) if json else print_tokens(shown)


@app.command()
def revoke(
    token_id: Annotated[str, typer.Argument(metavar="ID", help="As `driftgate token list` shows it.")],
    state: State = None,
    server: Server = DEFAULT_SERVER,
    json: Json = False,
) -> None:
    """Make a token worthless, on every worker within two seconds.

    Example: driftgate token revoke k3v9q2mx
    """
    if state is None:
        path = f"/api/tokens/{quote(token_id, safe='')}"
        revoked = AdminClient(server).change("DELETE", path, {}, TokenReport)
    else:
        revoked = _revoke_here(state, token_id)
    print_json(revoked) if json else typer.echo(f"Token {revoked.id} of {revoked.name} is revoked.")


@app.command()
def report(server: Server = DEFAULT_SERVER, json: Json = False) -> None:
    """Show who would be refused if predictions needed a token; see auth.report_only.

    Example: driftgate token report
    """
    answer = AdminClient(server).get("/api/refusals", RefusalsAnswer)
    print_json(answer) if json else print_refusals(answer)


def _create_here(state: Path, wish: Wish) -> NewTokenAnswer:
    try:
        state.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
        made, secret = _store(state).create(wish, _who())
    except (OSError, UnreadableTokens) as error:
        raise CannotStart(f"the tokens in {state} cannot be changed: {error}") from error
    return NewTokenAnswer(TokenReport.of(made), secret)


def _list_here(state: Path) -> TokensAnswer:
    try:
        return TokensAnswer(tuple(map(TokenReport.of, _store(state).read().tokens)))
    except (OSError, UnreadableTokens) as error:
        raise CannotStart(f"the tokens in {state} cannot be read: {error}") from error


def _revoke_here(state: Path, token_id: str) -> TokenReport:
    try:
        return TokenReport.of(_store(state).revoke(token_id, _who()))
    except (OSError, UnreadableTokens) as error:
        raise CannotStart(f"the tokens in {state} cannot be changed: {error}") from error


def _store(state: Path) -> TokenStore:
    """Return the tokens of a state directory; raise CannotStart if it belongs to another user.

    The gateway could not read a file that somebody else wrote for themselves alone.
    """
    owner = state.stat().st_uid
    if owner != os.geteuid():
        raise CannotStart(f"{state} belongs to the user with the id {owner}: run this as that user")
    return TokenStore(StateLayout(state).tokens, utc_now)


def _who() -> str:
    return f"command-line@uid-{os.getuid()}"
