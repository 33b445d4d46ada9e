"""How tokens look in a terminal."""

from datetime import UTC, datetime

from driftgate.gateway.access.token_documents import RefusalsAnswer, TokensAnswer
from driftgate.gateway.cli.terminal import console, plain, table

REASONS = {
    "no_token": "no token",
    "bad_token": "unknown token",
    "missing_scope": "lacks the scope",
    "quota": "over its quota",
}


def print_tokens(answer: TokensAnswer) -> None:
    """Print one line per token."""
    if not answer.tokens:
        console().print("No tokens. `driftgate token create --scope SCOPE NAME` makes one.")
        return
    rows = table("ID", "NAME", "SCOPES", "PER SECOND", "CREATED", "BY", "REVOKED")
    for token in answer.tokens:
        rate = "" if token.requests_per_s is None else f"{token.requests_per_s:g}, {token.burst} at once"
        texts = (token.id, token.name, ", ".join(token.scopes), rate, token.created_at, token.created_by)
        rows.add_row(*map(plain, (*texts, token.revoked_at)))
    console().print(rows)


def print_refusals(answer: RefusalsAnswer) -> None:
    """Print one line per caller that would be refused, the most frequent first."""
    if not answer.refusals:
        console().print("Nobody would have been refused since auth.report_only was set, or it is not set.")
        return
    rows = table("REQUESTS", "FROM", "TOKEN", "NEEDS", "BECAUSE", "LAST")
    for row in answer.refusals:
        last = datetime.fromtimestamp(row.last_at, UTC).isoformat(timespec="seconds")
        reason = REASONS.get(row.reason, row.reason)
        rows.add_row(*map(plain, (str(row.count), row.client, row.token, row.scope, reason, last)))
    console().print(rows)
