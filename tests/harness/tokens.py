"""Access tokens, made on the state directory of a gateway before it starts."""

from pathlib import Path

from driftgate.gateway.access.token_store import TokenStore, Wish, utc_now
from driftgate.gateway.access.tokens import Quota


def store_in(root: Path) -> TokenStore:
    """Return the tokens of the gateway on `root`/state."""
    (root / "state").mkdir(mode=0o700, exist_ok=True)
    return TokenStore(root / "state" / "tokens.json", utc_now)


def make_token(root: Path, *scopes: str, quota: Quota | None = None) -> str:
    """Return a new token."""
    return store_in(root).create(Wish("test", scopes, quota), "test")[1]


def bearer(token: str) -> dict[str, str]:
    """Return the header with a token."""
    return {"authorization": f"Bearer {token}"}
