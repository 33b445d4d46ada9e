"""The paths that predict, and which version a request to one of them goes to.

Strongest first: a version or label in the path, the arm that `x-variant` names, the split.
"""

from typing import NamedTuple

from driftgate.gateway.errors import NotServable
from driftgate.gateway.http.headers import RequestHeaders, header_key
from driftgate.gateway.routing.keys import KeyPlace, key_at, key_place
from driftgate.gateway.routing.table import NOT_HASHED, ModelRoute, RoutingTable, Target
from driftgate.gateway.serving.served import ServedVersion
from driftgate.gateway.wire.contracts import CONTRACTS, Contract
from driftgate.gateway.wire.inference import InferenceRequest


class Endpoint(NamedTuple):
    """A path that predicts: the route, the version or label in the path (None: the split decides).

    `key_place` is where the key is in the request's inputs, None where it is not looked for there.
    """

    route: ModelRoute[ServedVersion]
    version: str | None
    contract: Contract
    key_place: KeyPlace | None = None

    def settled(self, headers: RequestHeaders) -> tuple[Target[ServedVersion], int] | None:
        """Return the target and bucket that path and headers settle, or None where the body has a say.

        Raises NotFound or NotServable where there is none.
        """
        route = self.route
        if self.version:
            return route.explicit(self.version), NOT_HASHED
        if headers.variant:
            return route.arm(headers.variant), NOT_HASHED
        if route.single is not None:
            return route.single, NOT_HASHED
        key = header_key(headers, route.key.name) if route.key.kind == "header" else b""
        return route.choose(key) if key else None

    @property
    def entry(self) -> Target[ServedVersion]:
        """The target with most traffic: by its signature a request is read before it is assigned."""
        if self.route.entry is None:
            raise NotServable(f"model '{self.route.name}' has no version with traffic yet")
        return self.route.entry

    def assigned(
        self, request: InferenceRequest, key: bytes, prediction_id: str
    ) -> tuple[Target[ServedVersion], int]:
        """Return the target and bucket of a parsed request with the routing `key`, b"" if it has none."""
        if not key and self.route.key.kind != "prediction-id":
            key = request.sequence_id.encode()
        return self.route.choose(key or prediction_id.encode())

    def key(self, request: InferenceRequest, headers: RequestHeaders) -> bytes:
        """Return the key that the split asks for, b"" if the request has none."""
        if self.key_place is not None:
            return key_at(self.key_place, request)
        source = self.route.key
        return header_key(headers, source.name) if source.kind == "header" else b""


def endpoints_of(table: RoutingTable[ServedVersion]) -> list[tuple[str, Endpoint]]:
    """Return every path that predicts with this table; a trailing slash is accepted."""
    return [
        (f"/v2/models/{name}{place}/{verb}{slash}", Endpoint(route, version, contract, _key_place(route)))
        for name, route in table.routes.items()
        for version in (None, *route.names)
        if version or route.entry
        for place in (f"/versions/{version}" if version else "",)
        for verb, contract in CONTRACTS.items()
        for slash in ("", "/")
    ]


def _key_place(route: ModelRoute[ServedVersion]) -> KeyPlace | None:
    return key_place(route.key, route.entry.version.loaded.manifest) if route.entry else None
