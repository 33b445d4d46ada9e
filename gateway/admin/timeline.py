"""The admin API's part for the timeline: what happened, its proof, and the same for Grafana's annotations."""

import asyncio
import re
from datetime import UTC, datetime, timedelta

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from driftgate.gateway.access.guards import may_see
from driftgate.gateway.admin.api import AdminRoute
from driftgate.gateway.errors import BadRequest
from driftgate.gateway.layout import StateLayout
from driftgate.gateway.state.events import Event
from driftgate.gateway.state.timeline import MOST_EVENTS, Verdict, Wanted, events_since, verify
from driftgate.gateway.wire.openapi import Operation

DEFAULT_SINCE = "24h"
_AGE = re.compile(r"(\d{1,6})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_MILLISECONDS = re.compile(r"\d{12,14}")
LONGEST = timedelta(days=3650)


class EventsAnswer(msgspec.Struct, frozen=True):
    """Events, oldest first; `more` says that older ones were left out."""

    events: tuple[Event, ...]
    more: bool


class Annotation(msgspec.Struct, frozen=True, rename="camel"):
    """One mark on a Grafana graph; times are Unix milliseconds."""

    time: int
    time_end: int
    title: str
    tags: tuple[str, ...]
    text: str


class TimelineApi:
    """The endpoints; reads files of the state directory only."""

    def __init__(self, layout: StateLayout) -> None:
        self._layout = layout

    async def events(self, request: Request) -> Response:
        """Answer what happened since `since`, of `model` if it is given."""
        events, more = await self._events(request)
        return _json(EventsAnswer(tuple(events), more))

    async def annotations(self, request: Request) -> Response:
        """Answer the same as marks on a graph."""
        events, _ = await self._events(request)
        until = moment_of(request.query_params.get("to") or "0s").isoformat()
        return _json([annotation_of(event) for event in events if event.at <= until])

    async def verify(self, request: Request) -> Response:
        """Check the chains of generations and journals."""
        return _json(await asyncio.to_thread(verify, self._layout))

    async def _events(self, request: Request) -> tuple[list[Event], bool]:
        query = request.query_params
        since = moment_of(query.get("since") or query.get("from") or DEFAULT_SINCE)
        limit = _limit(query.get("limit"))
        wanted = Wanted(since, query.get("model", ""), limit + 1, may_see(request))
        found = await asyncio.to_thread(events_since, self._layout, wanted)
        return found[-limit:], len(found) > limit


def annotation_of(event: Event) -> Annotation:
    """Return an event as Grafana's JSON and Infinity data sources expect annotations."""
    at_ms = round(datetime.fromisoformat(event.at).timestamp() * 1000)
    subject = f"{event.model}@{event.version}" if event.model and event.version else event.model
    tags = tuple(tag for tag in ("driftgate", event.kind, event.model, event.process) if tag)
    title = " ".join(text for text in (event.kind.replace("_", " "), subject or event.process) if text)
    return Annotation(at_ms, at_ms, title, tags, f"{event.who}: {event.why}" if event.why else event.who)


def timeline_routes(api: TimelineApi) -> list[AdminRoute]:
    """Return the routes of this part."""
    marks = tuple[Annotation, ...]
    return [
        AdminRoute(Operation("GET", "/api/events", "What happened", None, EventsAnswer), api.events),
        AdminRoute(Operation("GET", "/api/events/verify", "Check the chains", None, Verdict), api.verify),
        AdminRoute(Operation("GET", "/api/annotations", "Marks for Grafana", None, marks), api.annotations),
    ]


def moment_of(text: str) -> datetime:
    """Return a moment given as an age ("24h"), in ISO 8601, or in Unix milliseconds as Grafana gives it."""
    age = _AGE.fullmatch(text)
    if age:
        return datetime.now(UTC) - min(LONGEST, timedelta(**{_UNITS[age[2]]: int(age[1])}))
    if _MILLISECONDS.fullmatch(text):
        return datetime.fromtimestamp(int(text) / 1000, UTC)
    try:
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError) as error:
        raise BadRequest(
            f"{text[:40]!r} is no moment: give an age such as 24h or 30m, or a time such as 2026-01-31T12:00Z"
        ) from error


def _limit(text: str | None) -> int:
    if text is None:
        return MOST_EVENTS
    if text.isascii() and text.isdecimal() and len(text) <= 5 and 1 <= int(text) <= MOST_EVENTS:
        return int(text)
    raise BadRequest(f"limit must be a whole number from 1 to {MOST_EVENTS}")


def _json(document: object) -> Response:
    return Response(msgspec.json.encode(document), media_type="application/json")
