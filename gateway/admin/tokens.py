"""The part of the admin API that makes, lists and revokes tokens."""

import asyncio

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from driftgate.gateway.access import token_documents as documents
from driftgate.gateway.access.guards import who_asks
from driftgate.gateway.access.refusals import all_refusals
from driftgate.gateway.access.token_store import TokenStore, Wish, utc_now
from driftgate.gateway.access.tokens import UnreadableTokens, quota_of
from driftgate.gateway.admin.api import AdminRoute
from driftgate.gateway.admin.requests import read_body
from driftgate.gateway.errors import StateUnusable
from driftgate.gateway.layout import StateLayout
from driftgate.gateway.logs import Logger
from driftgate.gateway.wire.openapi import Operation


class TokenApi:
    """The endpoints for tokens."""

    def __init__(self, layout: StateLayout, logger: Logger) -> None:
        self._layout = layout
        self._store = TokenStore(layout.tokens, utc_now)
        self._logger = logger

    async def tokens(self, request: Request) -> Response:
        """Answer all tokens, without their secrets."""
        try:
            file = await asyncio.to_thread(self._store.read)
        except UnreadableTokens as error:
            raise StateUnusable(str(error)) from error
        return _answer(documents.TokensAnswer(tuple(map(documents.TokenReport.of, file.tokens))))

    async def create(self, request: Request) -> Response:
        """Make a token and answer its secret, once."""
        wanted = await read_body(request, documents.TokenRequest)
        wish = Wish(wanted.name, wanted.scopes, quota_of(wanted.requests_per_s, wanted.burst))
        who = who_asks(request)
        try:
            token, secret = await asyncio.to_thread(self._store.create, wish, who)
        except UnreadableTokens as error:
            raise StateUnusable(str(error)) from error
        why = f"{token.id} for {token.name}: {', '.join(token.scopes)}"
        self._logger.info("token_created", who=who, why=why)
        return _answer(documents.NewTokenAnswer(documents.TokenReport.of(token), secret))

    async def revoke(self, request: Request) -> Response:
        """Make a token worthless."""
        who = who_asks(request)
        try:
            token = await asyncio.to_thread(self._store.revoke, request.path_params["token"], who)
        except UnreadableTokens as error:
            raise StateUnusable(str(error)) from error
        self._logger.info("token_revoked", who=who, why=f"{token.id} of {token.name}")
        return _answer(documents.TokenReport.of(token))

    async def refusals(self, request: Request) -> Response:
        """Answer who would be refused if predictions needed a token."""
        return _answer(documents.RefusalsAnswer(await asyncio.to_thread(all_refusals, self._layout)))


def token_routes(api: TokenApi) -> list[AdminRoute]:
    """Return the routes of this part."""
    tokens, report, new = documents.TokensAnswer, documents.TokenReport, documents.NewTokenAnswer
    rows = (
        ("GET", "/api/tokens", "All tokens", None, tokens, api.tokens),
        ("POST", "/api/tokens", "Make a token", documents.TokenRequest, new, api.create),
        ("DELETE", "/api/tokens/{token}", "Revoke a token", None, report, api.revoke),
        ("GET", "/api/refusals", "Who lacks a token", None, documents.RefusalsAnswer, api.refusals),
    )
    return [
        AdminRoute(Operation(method, path, summary, request, answer), endpoint)
        for method, path, summary, request, answer, endpoint in rows
    ]


def _answer(document: object) -> Response:
    body = msgspec.json.encode(document)
    return Response(body, headers={"cache-control": "no-store"}, media_type="application/json")
