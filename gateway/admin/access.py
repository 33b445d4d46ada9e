"""Who may use the admin API."""

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from driftgate.gateway.access.auth import auth_mode
from driftgate.gateway.access.guards import Endpoint, Guard
from driftgate.gateway.access.scopes import Need
from driftgate.gateway.access.token_store import TokenWatch
from driftgate.gateway.admin.requests import check_origin
from driftgate.gateway.layout import StateLayout
from driftgate.gateway.logs import Logger
from driftgate.gateway.settings import Settings


@dataclass(frozen=True)
class AdminAccess:
    """Who may use the admin API: `watch` is None where nobody needs a token."""

    watch: TokenWatch | None = None

    @classmethod
    def of(cls, settings: Settings, layout: StateLayout, logger: Logger) -> "AdminAccess":
        """Return who may use it with these settings."""
        return cls(None if auth_mode(settings) == "off" else TokenWatch(layout.tokens, logger))

    def before(self, need: Need, endpoint: Endpoint) -> Endpoint:
        """Return `endpoint` for those only who may use it."""

        async def answer(request: Request) -> Response:
            self.check(request, need)
            return await endpoint(request)

        return answer

    def check(self, request: Request, need: Need) -> None:
        """Raise Unauthorized or Forbidden for who may not make this request; note who does.

        Pages of other sites cannot send a token, so that host names matter only where none is asked for.
        """
        check_origin(request, any_host=self.watch is not None)
        if self.watch is not None:
            self.watch.refresh()
        request.state.holder = Guard(self.watch, demanded=True).check(request, need)
