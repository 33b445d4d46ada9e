"""What each call of the admin API knows beside its path and body: query parameters and headers. Pure.

One table for the check of requests and for the OpenAPI document. A misspelt `dry_run` must not become the
real thing, so what a call does not know is refused.
"""

from collections.abc import Iterable, Mapping, Sequence

from driftgate.gateway.errors import BadRequest
from driftgate.gateway.wire.openapi import Parameter
from driftgate.gateway.wire.value_schemas import STRING

_CHECKED = "/api/"
"""Calls of the Open Inference Protocol and probes may carry what their clients like to add."""

DRY_RUN = Parameter("dry_run", "query", {"type": "boolean"}, "Only say what would change.")
WAIT = Parameter(
    "wait",
    "query",
    {"type": "number", "minimum": 0, "maximum": 600},
    "Seconds to wait until it is in force; 30 if it is not given.",
)
IF_MATCH = Parameter(
    "If-Match",
    "header",
    STRING,
    'ETag of an answer, such as "41": refuse with 412 if there is a newer state.',
)
REQUIRED_IF_MATCH = Parameter(
    "If-Match",
    "header",
    STRING,
    'ETag of an answer, such as "41": refuse with 412 if there is a newer state; * for any. Without it 428.',
    required=True,
)
KEY = Parameter("key", "query", {"type": "string", "minLength": 1}, "The routing key.", required=True)
ENTITY = Parameter(
    "key",
    "query",
    {"type": "string", "minLength": 1},
    'The join key, or a JSON list of texts if there are several: ["ada","7"].',
    required=True,
)
AT = Parameter("at", "query", {"type": "integer", "minimum": 1}, "Generation to look at; else the newest.")
OFFSET = Parameter(
    "offset", "query", {"type": "integer", "minimum": 0}, "Where in the file the part begins.", required=True
)
SINCE = Parameter("since", "query", STRING, "An age such as 24h, or a time in ISO 8601.")
BUDGET = Parameter("budget", "query", STRING, 'False alarms that are allowed, such as "1 in 4w".')
MODEL = Parameter("model", "query", STRING, "Only what concerns this model.")
LIMIT = Parameter("limit", "query", {"type": "integer", "minimum": 1}, "At most so many, the newest ones.")
NAME = Parameter("name", "query", STRING, "The feature.", required=True)
VERSION = Parameter("version", "query", {"type": "integer", "minimum": 1}, "The version; else the last used.")
ARM = Parameter("arm", "query", STRING, "The arm; else the last used.")
MINUTES = Parameter(
    "minutes",
    "query",
    {"type": "integer", "minimum": 1},
    "Length of the window that is compared; else up to 60.",
)
FROM = Parameter("from", "query", STRING, "Beginning, in Unix milliseconds.")
TO = Parameter("to", "query", STRING, "End, in Unix milliseconds.")

_MOVE = (DRY_RUN, WAIT, IF_MATCH)
_REPLACE = (DRY_RUN, WAIT, REQUIRED_IF_MATCH)
_A_MODEL, _REPOSITORY = "/api/models/{model}", "/v2/repository/models/{model}"

_TABLE: Mapping[tuple[str, str], tuple[Parameter, ...]] = {
    ("POST", f"{_A_MODEL}/promote"): _MOVE,
    ("POST", f"{_A_MODEL}/rollback"): _MOVE,
    ("POST", f"{_A_MODEL}/pin"): _MOVE,
    ("POST", f"{_A_MODEL}/unpin"): _MOVE,
    ("PUT", f"{_A_MODEL}/shadow"): _MOVE,
    ("POST", f"{_A_MODEL}/references"): _MOVE,
    ("PUT", f"{_A_MODEL}/traffic"): _REPLACE,
    ("DELETE", f"{_A_MODEL}/traffic"): _REPLACE,
    ("GET", f"{_A_MODEL}/assignment"): (KEY, AT),
    ("GET", f"{_A_MODEL}/history"): (SINCE,),
    ("GET", f"{_A_MODEL}/evidence"): (SINCE,),
    ("GET", f"{_A_MODEL}/feature"): (NAME, VERSION, ARM, MINUTES, SINCE),
    ("GET", f"{_A_MODEL}/drift/backtest"): (SINCE, BUDGET),
    ("POST", f"{_A_MODEL}/drift/arm"): (DRY_RUN, IF_MATCH),
    ("POST", f"{_A_MODEL}/drift/observe"): (DRY_RUN, IF_MATCH),
    ("POST", f"{_A_MODEL}/drift/acknowledge"): (DRY_RUN, IF_MATCH),
    ("GET", "/api/alerts"): (SINCE,),
    ("GET", f"{_A_MODEL}/alerts"): (SINCE,),
    ("PUT", f"{_A_MODEL}/settings"): (IF_MATCH,),
    ("PUT", f"{_A_MODEL}/uploads/{{upload}}/files/{{number}}"): (OFFSET,),
    ("GET", f"{_A_MODEL}/versions/{{version}}/files/{{number}}"): (OFFSET,),
    ("PUT", "/api/features/{view}"): (DRY_RUN,),
    ("GET", "/api/features/{view}/entity"): (ENTITY,),
    ("GET", "/api/events"): (SINCE, MODEL, LIMIT),
    ("GET", "/api/annotations"): (FROM, TO, SINCE, MODEL, LIMIT),
    ("POST", f"{_REPOSITORY}/load"): (WAIT, IF_MATCH),
    ("POST", f"{_REPOSITORY}/unload"): (IF_MATCH,),
}


def parameters_of(method: str, path: str) -> tuple[Parameter, ...]:
    """Return what a call knows beside its path and body."""
    return _TABLE.get((method, path), ())


def check_query(path: str, known: Sequence[Parameter], given: Iterable[str]) -> None:
    """Raise BadRequest for a query parameter that is given twice or that the call at `path` does not know."""
    if not path.startswith(_CHECKED):
        return
    names = [parameter.name for parameter in known if parameter.place == "query"]
    seen: set[str] = set()
    for name in given:
        if name not in names:
            there = f"it knows {', '.join(names)}" if names else "it knows none"
            raise BadRequest(f"this call has no query parameter {name[:40]!r}: {there}")
        if name in seen:
            raise BadRequest(f"the query parameter {name!r} is given twice")
        seen.add(name)
