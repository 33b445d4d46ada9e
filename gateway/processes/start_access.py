"""What is checked and said about access when a gateway starts."""

from driftgate.gateway.access.auth import auth_mode, check_admin_address
from driftgate.gateway.access.token_store import tokens_at_start
from driftgate.gateway.layout import StateLayout
from driftgate.gateway.logs import Logger
from driftgate.gateway.settings import Settings


def check_access(settings: Settings, layout: StateLayout, logger: Logger) -> None:
    """Log who has to show a token, and how to get the first one where there is none.

    Raises CannotStart where the tokens cannot be read, or strangers would reach the admin API.
    """
    tokens = tokens_at_start(layout.tokens)
    check_admin_address(settings, tokens)
    mode = auth_mode(settings)
    if mode == "off" or len(tokens):
        logger.info("access", auth=mode, tokens=len(tokens))
    else:
        command = f"driftgate token create --scope admin --state {layout.root} NAME"
        logger.warning("no_tokens", auth=mode, next=command)
