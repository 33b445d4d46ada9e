"""Who asks for a change, as it is written into the audit trail."""

from starlette.requests import Request


def who_asks(request: Request) -> str:
    """Return the holder of the token and its id, else the address that the request came from."""
    holder = getattr(request.state, "holder", None)
    if holder is not None:
        return f"{holder.name} ({holder.id})"
    return f"admin-api@{request.client.host if request.client else 'unknown'}"
