"""The traffic endpoints of the admin API: who gets which version, and what moves whom."""

from starlette.requests import Request
from starlette.responses import Response

from driftgate.gateway.admin import documents as documents
from driftgate.gateway.admin.change_requests import Ask, json_answer, move
from driftgate.gateway.admin.requests import read_body, require_precondition
from driftgate.gateway.control import changes
from driftgate.gateway.control.reconciler import Reconciler
from driftgate.gateway.errors import BadRequest, NotFound
from driftgate.gateway.http.headers import MAX_KEY_BYTES
from driftgate.gateway.routing.assignment import assign

MAX_DIGITS = 18


class TrafficApi:
    """The endpoints. Holds nothing of its own; state is the reconciler's."""

    def __init__(self, reconciler: Reconciler) -> None:
        self._reconciler = reconciler

    async def promote(self, request: Request) -> Response:
        """Give one version all traffic."""
        wanted = await read_body(request, documents.PromoteRequest)
        return await self._move(request, lambda it: changes.promote(it, wanted.version, wanted.force))

    async def set(self, request: Request) -> Response:
        """Split the traffic among versions; needs If-Match, for it replaces what others have set."""
        require_precondition(request)
        wanted = await read_body(request, documents.TrafficRequest)
        weights = _weights(wanted)
        return await self._move(
            request, lambda it: changes.set_traffic(it, weights, wanted.force, wanted.assignment)
        )

    async def clear(self, request: Request) -> Response:
        """End a split: the stable version gets all traffic."""
        require_precondition(request)
        await read_body(request, documents.EmptyRequest)
        return await self._move(request, changes.clear_traffic)

    async def rollback(self, request: Request) -> Response:
        """Go back to the last version that had all traffic, and pin it."""
        await read_body(request, documents.EmptyRequest)
        return await self._move(request, changes.rollback)

    async def pin(self, request: Request) -> Response:
        """Keep the traffic where it is, whatever the policy says."""
        await read_body(request, documents.EmptyRequest)
        return await self._move(request, changes.pin)

    async def unpin(self, request: Request) -> Response:
        """Let the policy move the traffic again."""
        await read_body(request, documents.EmptyRequest)
        return await self._move(request, changes.unpin)

    async def assignment(self, request: Request) -> Response:
        """Say which version `?key=` gets and why, now or `?at=` an earlier generation."""
        name, key = request.path_params["model"], request.query_params.get("key", "")
        if not 1 <= len(key.encode()) <= MAX_KEY_BYTES:
            raise BadRequest(f"give the key of 1 to {MAX_KEY_BYTES} bytes, as in ?key=customer-7")
        state = self._reconciler.desired
        at = request.query_params.get("at", str(state.generation))
        if not (at.isascii() and at.isdecimal() and len(at) <= MAX_DIGITS):
            raise BadRequest("at must be the number of a generation")
        if int(at) != state.generation:
            state = self._reconciler.generation(int(at))
        model = state.models.get(name)
        if model is None:
            raise NotFound(f"there is no model {name[:140]!r} in generation {state.generation}")
        return json_answer(self._reconciler, assign(name, model.split, state.generation, key))

    async def _move(self, request: Request, ask: Ask) -> Response:
        return await move(self._reconciler, request, ask)


def _weights(wanted: documents.TrafficRequest) -> dict[int, int]:
    if wanted.arms is not None and wanted.weights_ppm is None:
        return changes.weights_from_percent(wanted.arms)
    if wanted.weights_ppm is not None and wanted.arms is None:
        return changes.weights_from_ppm(wanted.weights_ppm)
    raise BadRequest('give either {"arms": {"7": 90, "8": 10}} in percent or "weights_ppm"')
