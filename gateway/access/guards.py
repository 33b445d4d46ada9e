"""Guards before the routes of each plane and before predictions: they ask `auth` and act on its verdict."""

import math
from collections.abc import Awaitable, Callable, Sequence

from starlette.requests import Request
from starlette.responses import Response

from driftgate.gateway.access.auth import Verdict, judge, refusal
from driftgate.gateway.access.quotas import Quotas
from driftgate.gateway.access.refusals import RefusalReport, Subject
from driftgate.gateway.access.route_scopes import CHANGES, OPERATE, PREDICT
from driftgate.gateway.access.scopes import Need, Verb
from driftgate.gateway.access.token_store import TokenWatch
from driftgate.gateway.access.tokens import Holder
from driftgate.gateway.errors import QuotaExceeded
from driftgate.gateway.http.headers import RequestHeaders

Endpoint = Callable[[Request], Awaitable[Response]]


class Guard:
    """Stands before the routes of one plane, other than predictions.

    `demanded` tells whether every route's need counts; otherwise only changes of models ask for a token.
    Without a watch nothing does.
    """

    def __init__(self, watch: TokenWatch | None, demanded: bool, report: RefusalReport | None = None) -> None:
        self._watch = watch
        self._demanded = demanded
        self._report = report

    def protects(self, need: Need) -> bool:
        """Tell whether this need has to be met here."""
        return self._watch is not None and (self._demanded or need in CHANGES)

    def check(self, request: Request, need: Need) -> Holder | None:
        """Return who asks, None if nobody has to say; raise Unauthorized or Forbidden."""
        if self._watch is None or not self.protects(need):
            return None
        name = need.name(request.path_params)
        authorization = request.headers.get("authorization", "").encode("latin-1")
        verdict = judge(self._watch.current, authorization, need, name)
        if not verdict.reason:
            return verdict.holder
        if self._report is None or need in CHANGES:
            raise refusal(verdict, need, name)
        client = request.client.host if request.client else ""
        self._report.note(_subject(client, verdict, need, name))
        return None

    def before(self, need: Need, endpoint: Endpoint) -> Endpoint:
        """Return `endpoint` behind this guard."""

        async def answer(request: Request) -> Response:
            request.state.holder = self.check(request, need)
            return await endpoint(request)

        return answer


class PredictGuard:
    """Stands before predictions. What it finds out about a head is kept with the head.

    Every prediction needs a token if that is `demanded`, else only what overrides the split does; the quota
    of a token that is shown counts in any case. With a `report` nobody is refused for the lack of one, and
    it says who would have been.
    """

    def __init__(
        self, watch: TokenWatch, quotas: Quotas, demanded: bool, report: RefusalReport | None
    ) -> None:
        self._watch = watch
        self._quotas = quotas
        self._demanded = demanded
        self._report = report

    def check(self, headers: RequestHeaders, model: str) -> None:
        """Raise Unauthorized or Forbidden for who may not ask this model, before its body is read."""
        if self._demanded and self._report is None:
            self._holder(headers, model, "")

    def admit(self, headers: RequestHeaders, model: str, client: str) -> None:
        """Let a whole request in and count it, or raise Unauthorized, Forbidden or QuotaExceeded."""
        if headers.variant:
            self.check_override(headers, model)
        if not self._demanded and not headers.authorization:
            return
        holder = headers.holder if headers.judged_by is self._watch.current else None
        holder = holder or self._holder(headers, model, client)
        if holder is not None and holder.quota is not None:
            wait_s = self._quotas.take(holder.quota)
            if wait_s:
                self._refuse_busy(holder, wait_s, model, client)

    def check_override(self, headers: RequestHeaders, model: str) -> None:
        """Raise Unauthorized or Forbidden for who may not say with `x-variant` which arm answers."""
        verdict = judge(self._watch.current, headers.authorization, OPERATE, model)
        if verdict.reason:
            raise refusal(verdict, OPERATE, model)

    def _holder(self, headers: RequestHeaders, model: str, client: str) -> Holder | None:
        tokens = self._watch.current
        verdict = judge(tokens, headers.authorization, PREDICT, model)
        if not verdict.reason:
            headers.holder, headers.judged_by = verdict.holder, tokens
            return verdict.holder
        if not self._demanded:
            return verdict.holder
        if self._report is None:
            raise refusal(verdict, PREDICT, model)
        self._report.note(_subject(client, verdict, PREDICT, model))
        return None

    def _refuse_busy(self, holder: Holder, wait_s: float, model: str, client: str) -> None:
        if self._report is not None:
            self._report.note(Subject(client, holder.id, f"infer:{model}", "quota"))
            return
        raise QuotaExceeded(
            f"the token {holder.id} has used up its requests for now; try again in {wait_s:.3g} s",
            "quota",
            math.ceil(wait_s),
        )


def may_see(request: Request, verbs: Sequence[Verb] = ("read",)) -> Callable[[str], bool]:
    """Return whether who asks may be told of a model or view, by its name; EVERY for all of them."""
    holder: Holder | None = getattr(request.state, "holder", None)
    if holder is None:
        return lambda name: True
    need = Need(tuple(verbs))
    return lambda name: need.is_met_by(holder.scopes, name)


def who_asks(request: Request) -> str:
    """Return who made a request, as the audit trail names them: the token's id, and from where."""
    client = request.client.host if request.client else "unknown"
    holder: Holder | None = getattr(request.state, "holder", None)
    return f"token:{holder.id}@{client}" if holder else f"admin-api@{client}"


def _subject(client: str, verdict: Verdict, need: Need, name: str) -> Subject:
    return Subject(client, verdict.holder.id if verdict.holder else "", need.text(name), verdict.reason)
