"""What goes over the wire of the admin API about tokens: no digest, and a secret only when it is made."""

from typing import Annotated

import msgspec

from driftgate.gateway.access.refusals import Refusal
from driftgate.gateway.access.tokens import MAX_RATE, Token


class TokenRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A token to be made; without `requests_per_s` its holder may ask as often as it can."""

    name: str
    scopes: tuple[str, ...]
    requests_per_s: Annotated[float, msgspec.Meta(gt=0, le=MAX_RATE)] | None = None
    burst: Annotated[int, msgspec.Meta(ge=1, le=int(MAX_RATE))] | None = None


class TokenReport(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One token without its secret. An empty `revoked_at` means that it is good."""

    id: str
    name: str
    scopes: tuple[str, ...]
    created_at: str
    created_by: str
    requests_per_s: float | None = None
    burst: int | None = None
    revoked_at: str = ""
    revoked_by: str = ""

    @classmethod
    def of(cls, token: Token) -> "TokenReport":
        """Return what may be shown of a token."""
        return cls(
            id=token.id,
            name=token.name,
            scopes=token.scopes,
            created_at=token.created_at,
            created_by=token.created_by,
            requests_per_s=token.quota.requests_per_s if token.quota else None,
            burst=token.quota.burst if token.quota else None,
            revoked_at=token.revoked_at,
            revoked_by=token.revoked_by,
        )


class NewTokenAnswer(msgspec.Struct, frozen=True):
    """A token that was just made, and its `secret`: all of what goes behind `Authorization: Bearer`."""

    token: TokenReport
    secret: str


class TokensAnswer(msgspec.Struct, frozen=True):
    """All tokens, those that were revoked included, in the order in which they were made."""

    tokens: tuple[TokenReport, ...]


class RefusalsAnswer(msgspec.Struct, frozen=True):
    """Who would be refused if tokens were demanded; empty unless `auth.report_only` is or was set."""

    refusals: tuple[Refusal, ...]
