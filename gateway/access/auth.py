"""Who may do what: a request's token, what its route asks for, and the verdict.

Tokens are demanded by the admin API from mode `control` on, and for predictions in mode `all`. Only the
settings decide that: making a token changes for nobody else whether they are let in. Pure.
"""

from typing import Literal, NamedTuple

from driftgate.gateway.access.scopes import Need
from driftgate.gateway.access.tokens import Holder, TokenSet, bearer
from driftgate.gateway.errors import Forbidden, GatewayError, Unauthorized
from driftgate.gateway.listeners import CannotListen, is_loopback
from driftgate.gateway.settings import Settings

Mode = Literal["off", "control", "all"]
Reason = Literal["", "no_token", "bad_token", "missing_scope"]


class Verdict(NamedTuple):
    """Who asks (None: nobody known), and why they are refused; no reason means that they are let in."""

    holder: Holder | None
    reason: Reason = ""


def auth_mode(settings: Settings) -> Mode:
    """Return who has to show a token: as set, else nobody while all listeners are on loopback."""
    if settings.auth.mode != "auto":
        return settings.auth.mode
    server = settings.server
    hosts = (server.host, server.admin_host, server.metrics_host)
    return "off" if all(map(is_loopback, hosts)) else "control"


def check_admin_address(settings: Settings, tokens: TokenSet) -> None:
    """Raise CannotListen where the admin API would be open to other machines without a token."""
    host = settings.server.admin_host
    if is_loopback(host):
        return
    if auth_mode(settings) == "off":
        raise CannotListen(
            f"--admin-host {host}: other machines could change models there, as auth.mode is off. "
            'Set it to "control", or keep the admin API on 127.0.0.1.'
        )
    if not tokens.has_admin:
        raise CannotListen(
            f"--admin-host {host}: other machines would reach the admin API, and there is no token with the "
            f"scope admin yet. Make one first: driftgate token create --state {settings.server.state} "
            "--scope admin NAME"
        )


def judge(tokens: TokenSet, authorization: bytes, need: Need, name: str) -> Verdict:
    """Decide on one request: the value of its Authorization header, what it needs, and for which `name`."""
    if need.open:
        return Verdict(None)
    text = bearer(authorization)
    if text is None:
        return Verdict(None, "bad_token" if authorization else "no_token")
    holder = tokens.holder_of(text)
    if holder is None:
        return Verdict(None, "bad_token")
    return Verdict(holder) if need.is_met_by(holder.scopes, name) else Verdict(holder, "missing_scope")


def refusal(verdict: Verdict, need: Need, name: str) -> GatewayError:
    """Return the error that tells a client why it was refused."""
    if verdict.holder is not None:
        scopes = need.text(name[:128])
        return Forbidden(f"the token {verdict.holder.id} lacks the scope for this: it needs {scopes}")
    if verdict.reason == "no_token":
        return Unauthorized("this needs a token: send Authorization: Bearer dg_…")
    return Unauthorized("this token is not known here: it was revoked, mistyped, or is of another gateway")
