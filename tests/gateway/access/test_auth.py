"""Who has to show a token, and what becomes of those who do not: decided from values alone."""

import random

import pytest

from driftgate.gateway.access.auth import Mode, auth_mode, check_admin_address, judge, refusal
from driftgate.gateway.access.route_scopes import ANYBODY, PREDICT
from driftgate.gateway.access.tokens import Token, TokenSet, digest_of, id_of, token_text
from driftgate.gateway.errors import Forbidden, Unauthorized
from driftgate.gateway.listeners import CannotListen
from driftgate.gateway.settings import AuthSettings, ServerSettings, Settings

TEXT = token_text(random.Random(1).randbytes(5), random.Random(2).randbytes(32))
LOOPBACK, PUBLIC = "127.0.0.1", "0.0.0.0"  # noqa: S104 - never bound


def tokens_for(*scopes: str) -> TokenSet:
    """Return one good token, TEXT, with these scopes."""
    return TokenSet(
        [Token(id=id_of(TEXT), name="t", digest=digest_of(TEXT), scopes=scopes, created_at="", created_by="")]
    )


@pytest.mark.parametrize(
    ("set_to", "data", "admin", "metrics", "mode"),
    [
        ("auto", LOOPBACK, LOOPBACK, LOOPBACK, "off"),
        ("auto", PUBLIC, LOOPBACK, LOOPBACK, "control"),
        ("auto", LOOPBACK, PUBLIC, LOOPBACK, "control"),
        ("auto", LOOPBACK, LOOPBACK, PUBLIC, "control"),
        ("auto", "localhost", "::1", "127.0.0.2", "off"),
        ("off", PUBLIC, PUBLIC, PUBLIC, "off"),
        ("control", LOOPBACK, LOOPBACK, LOOPBACK, "control"),
        ("all", LOOPBACK, LOOPBACK, LOOPBACK, "all"),
    ],
)
def test_who_has_to_show_a_token(set_to: str, data: str, admin: str, metrics: str, mode: Mode) -> None:
    """The setting says so; left alone, nobody on loopback and operators elsewhere."""
    server = ServerSettings(host=data, admin_host=admin, metrics_host=metrics)
    auth = AuthSettings(mode=set_to)  # type: ignore[arg-type]  # the table holds plain words
    assert auth_mode(Settings(server=server, auth=auth)) == mode


@pytest.mark.parametrize(
    ("mode", "scope", "way_out"),
    [
        ("auto", None, "driftgate token create --state here --scope admin"),
        ("control", "operate:*", "driftgate token create"),
        ("off", "admin", "auth.mode is off"),
        ("auto", "admin", None),
        ("all", "admin", None),
    ],
)
def test_a_public_admin_address_needs_an_administrator(
    mode: str, scope: str | None, way_out: str | None
) -> None:
    """Other machines reach the admin API only if it asks for tokens and somebody has the one for it."""
    tokens = tokens_for(scope) if scope else TokenSet()
    settings = Settings(
        server=ServerSettings(admin_host=PUBLIC, state="here"),
        auth=AuthSettings(mode=mode),  # type: ignore[arg-type]  # as above
    )
    if way_out is None:
        check_admin_address(settings, tokens)
    else:
        with pytest.raises(CannotListen, match=way_out):
            check_admin_address(settings, tokens)


@pytest.mark.parametrize(
    ("header", "scope", "reason"),
    [
        (f"Bearer {TEXT}", "infer:m*", ""),
        (f"Bearer {TEXT}", "infer:n*", "missing_scope"),
        (f"Bearer {TEXT}", "admin", ""),
        (f"Bearer {TEXT[:-1]}", "infer:m*", "bad_token"),
        (f"Basic {TEXT}", "infer:m*", "bad_token"),
        ("", "infer:m*", "no_token"),
    ],
)
def test_a_verdict_has_its_reason(header: str, scope: str, reason: str) -> None:
    """A request is let in or refused for one of three reasons; what is open lets everybody in."""
    tokens = tokens_for(scope)
    assert judge(tokens, header.encode(), PREDICT, "m-1").reason == reason
    assert judge(tokens, header.encode(), ANYBODY, "m-1").reason == ""


def test_refusals_never_repeat_a_secret() -> None:
    """What a client is told names the id of its token and the scopes that would do, no more."""
    lacking = judge(tokens_for("read:*"), f"Bearer {TEXT}".encode(), PREDICT, "m")
    error = refusal(lacking, PREDICT, "m")
    assert isinstance(error, Forbidden)
    assert str(error) == f"the token {id_of(TEXT)} lacks the scope for this: it needs infer:m or admin"
    wrong = judge(TokenSet(), f"Bearer {TEXT}".encode(), PREDICT, "m")
    error = refusal(wrong, PREDICT, "m")
    assert isinstance(error, Unauthorized)
    assert not any(part in str(error) for part in TEXT.split("_")[1:])
