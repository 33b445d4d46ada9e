"""Access tokens: how they are made, what is kept of them, and whose a given one is. Pure.

A token is `dg_<id>_<secret>`. Only its SHA-256 is kept: the secret has 256 random bits, so nothing slower is
needed. The id is no secret; it stands in logs and in the audit trail.
"""

import base64
import hashlib
import hmac
import math
import re
from collections.abc import Iterable
from functools import cached_property
from typing import Annotated

import msgspec

from driftgate.gateway.access.scopes import Scope, parse_scope
from driftgate.gateway.errors import BadRequest
from driftgate.gateway.formats import other_format

FORMAT = 1
ID_BYTES = 5
SECRET_BYTES = 32
MAX_TOKENS = 1024
MAX_NAME = 128
MAX_RATE = 1_000_000.0

_TOKEN = re.compile(r"dg_([a-z2-7]{8})_([a-z2-7]{52})", re.ASCII)
_NOBODY = bytes(32)
"""Compared with where there is no such id, so that unknown ids take as long as known ones."""


class UnreadableTokens(Exception):
    """A token file that is damaged, or written by a newer Driftgate."""


class Quota(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many predictions a token may ask for, over all workers together.

    `cell` is the place of its count in the shared file.
    """

    requests_per_s: Annotated[float, msgspec.Meta(gt=0, le=MAX_RATE)]
    burst: Annotated[int, msgspec.Meta(ge=1, le=int(MAX_RATE))]
    cell: Annotated[int, msgspec.Meta(ge=0, lt=MAX_TOKENS)] = 0


class Token(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """What is kept of one token. `digest` is the SHA-256 of all of it, in hex; times are ISO 8601, UTC."""

    id: str
    name: str
    digest: str
    scopes: tuple[str, ...]
    created_at: str
    created_by: str
    quota: Quota | None = None
    revoked_at: str = ""
    revoked_by: str = ""


class Holder(msgspec.Struct, frozen=True):
    """Somebody whose token was found to be good."""

    id: str
    name: str
    scopes: tuple[Scope, ...]
    quota: Quota | None = None


class TokenFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All tokens of a gateway, those that were revoked included, as they lie on disk."""

    format: int = FORMAT
    tokens: tuple[Token, ...] = ()


class TokenSet:
    """The tokens that are good now. Immutable: what was decided with one set holds as long as it does."""

    def __init__(self, tokens: Iterable[Token] = ()) -> None:
        """Raise UnreadableTokens if a token is not one."""
        try:
            self._known = {
                token.id: (bytes.fromhex(token.digest), _holder(token))
                for token in tokens
                if not token.revoked_at
            }
        except (ValueError, BadRequest) as error:
            raise UnreadableTokens(f"tokens: {error}") from error

    def __len__(self) -> int:
        return len(self._known)

    @cached_property
    def has_admin(self) -> bool:
        """Whether somebody may administer everything."""
        return any(scope.verb == "admin" for _, holder in self._known.values() for scope in holder.scopes)

    def holder_of(self, text: str) -> Holder | None:
        """Return whose token `text` is, or None; how long it takes tells nothing about any token."""
        found = _TOKEN.fullmatch(text)
        digest, holder = self._known.get(found.group(1) if found else "", (_NOBODY, None))
        return holder if is_same(hashlib.sha256(text.encode()).digest(), digest) else None


def is_same(given: bytes, kept: bytes) -> bool:
    """Compare two digests in a time that does not depend on where they differ."""
    return hmac.compare_digest(given, kept)


def bearer(authorization: bytes) -> str | None:
    """Return the token in the value of an Authorization header, or None (RFC 6750, section 2.1)."""
    scheme, _, token = authorization.strip().partition(b" ")
    if scheme.lower() != b"bearer" or not token.isascii():
        return None
    return token.strip().decode() or None


def token_text(identity: bytes, secret: bytes) -> str:
    """Return the token with a random `identity` of ID_BYTES and a random `secret` of SECRET_BYTES."""
    return f"dg_{_base32(identity)}_{_base32(secret)}"


def id_of(text: str) -> str:
    """Return the id within a token that `token_text` made."""
    return text.split("_")[1]


def digest_of(text: str) -> str:
    """Return what is kept of a token."""
    return hashlib.sha256(text.encode()).hexdigest()


def check_name(name: str) -> str:
    """Return the name of a token if it is a short line of text, else raise BadRequest."""
    if 0 < len(name) <= MAX_NAME and name.isprintable():
        return name
    raise BadRequest(f"a token's name is 1 to {MAX_NAME} printable characters, such as the team that gets it")


def check_scopes(scopes: Iterable[str]) -> tuple[str, ...]:
    """Return the scopes of a new token without repeats; raise BadRequest where one is wrong, or none is."""
    unique = tuple(dict.fromkeys(scopes))
    if not unique:
        raise BadRequest("a token needs at least one scope, such as infer:* or admin")
    for scope in unique:
        parse_scope(scope)
    return unique


def quota_of(requests_per_s: float | None, burst: int | None) -> Quota | None:
    """Return the quota of a new token, None without a rate; a burst is a second's worth unless given.

    Raises BadRequest where there is a burst without a rate, or one of them is out of range.
    """
    if requests_per_s is None:
        if burst is not None:
            raise BadRequest("a burst needs a rate of requests per second beside it")
        return None
    if not 0 < requests_per_s <= MAX_RATE:  # false for NaN
        raise BadRequest(f"a rate is a number of requests per second above 0 and up to {MAX_RATE:.0f}")
    if burst is not None and not 1 <= burst <= MAX_RATE:
        raise BadRequest(f"a burst is a whole number of requests from 1 to {MAX_RATE:.0f}")
    return Quota(requests_per_s, burst or max(1, math.ceil(requests_per_s)))


def with_token(file: TokenFile, token: Token) -> TokenFile:
    """Return the file with one more token, its quota in a cell that no good token has.

    Raises BadRequest where there are MAX_TOKENS already.
    """
    good = [old for old in file.tokens if not old.revoked_at]
    if len(good) >= MAX_TOKENS:
        raise BadRequest(f"there are {MAX_TOKENS} tokens already: revoke those that nobody uses")
    if token.quota is not None:
        taken = {old.quota.cell for old in good if old.quota is not None}
        cell = min(set(range(MAX_TOKENS)) - taken)
        quota = msgspec.structs.replace(token.quota, cell=cell)
        token = msgspec.structs.replace(token, quota=quota)
    return TokenFile(tokens=(*file.tokens, token))


def without_token(file: TokenFile, token_id: str, at: str, who: str) -> TokenFile | None:
    """Return the file with one token revoked, or None if no good token has this id."""
    tokens = tuple(
        msgspec.structs.replace(token, revoked_at=at, revoked_by=who)
        if token.id == token_id and not token.revoked_at
        else token
        for token in file.tokens
    )
    return None if tokens == file.tokens else TokenFile(tokens=tokens)


def decode_tokens(data: bytes) -> TokenFile:
    """Return the tokens in `data`, else raise UnreadableTokens."""
    other = other_format(data, FORMAT)
    if other is not None:
        raise UnreadableTokens(f"the tokens have format {other}; this Driftgate reads {FORMAT}")
    try:
        return msgspec.json.decode(data, type=TokenFile)
    except msgspec.MsgspecError as error:
        raise UnreadableTokens(f"tokens: {error}") from error


def encode_tokens(file: TokenFile) -> bytes:
    """Return the bytes of a token file."""
    return msgspec.json.format(msgspec.json.encode(file), indent=1) + b"\n"


def _holder(token: Token) -> Holder:
    return Holder(token.id, token.name, tuple(map(parse_scope, token.scopes)), token.quota)


def _base32(data: bytes) -> str:
    return base64.b32encode(data).decode().rstrip("=").lower()
