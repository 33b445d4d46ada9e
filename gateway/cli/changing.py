"""Changing calls of the admin API: ask, print what became of it, end with the right exit code."""

from dataclasses import dataclass
from typing import Annotated, Any

import typer

from driftgate.gateway.admin.documents import ChangeAnswer
from driftgate.gateway.cli.admin_client import AdminClient, Question, model_path
from driftgate.gateway.cli.model_tables import print_change, print_json
from driftgate.gateway.cli.refused import Exit, Refused
from driftgate.gateway.control.model_report import ModelReport
from driftgate.models.errors import InvalidName
from driftgate.models.schema.names import check_model_name

PATIENCE_S = 130.0
"""Enough for one preparation by every worker and one more by those that were replaced."""
ATTEMPTS = 5


def _model_name(name: str) -> str:
    try:
        return check_model_name(name)
    except InvalidName as error:
        raise typer.BadParameter(str(error)) from error


Name = Annotated[str, typer.Argument(metavar="MODEL", help="Name of the model.", callback=_model_name)]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would change.")]
Patience = Annotated[float, typer.Option(min=0, max=600, help="Seconds to wait until it is in force.")]


@dataclass(frozen=True)
class Call:
    """One changing call. `seen` says that it replaces what was seen: nobody may have changed it since."""

    method: str
    name: str
    verb: str
    body: dict[str, Any]
    seen: bool = False

    @property
    def path(self) -> str:
        """Where it is sent."""
        return model_path(self.name, self.verb)


@dataclass(frozen=True)
class Manner:
    """How a call is made and its answer shown."""

    server: str
    timeout_s: float = PATIENCE_S
    dry_run: bool = False
    json: bool = False


def change(call: Call, manner: Manner) -> ChangeAnswer:
    """Make a call and print what became of it; raise Refused where it is not done."""
    answer = _ask(call, manner)
    print_json(answer) if manner.json else print_change(answer)
    if answer.state == "pending":
        raise Refused("it still waits for workers to get ready; nothing has moved yet", Exit.TIMED_OUT)
    return answer


def _ask(call: Call, manner: Manner) -> ChangeAnswer:
    client = AdminClient(manner.server)
    path = f"{call.path}?wait={manner.timeout_s:g}&dry_run={str(manner.dry_run).lower()}"
    question = Question(call.method, path, call.body, manner.timeout_s)
    if not call.seen:
        return client.ask(question, ChangeAnswer)[0]
    first: ModelReport | None = None
    for _ in range(ATTEMPTS):
        model, etag = client.ask(Question("GET", model_path(call.name)), ModelReport)
        first = first or model
        if _traffic(model) != _traffic(first):
            break
        try:
            return client.ask(question._replace(etag=etag), ChangeAnswer)[0]
        except Refused as refused:
            if not refused.outdated:
                raise
    raise Refused(f"somebody else is changing {call.name}: look at it and decide again", Exit.CONFLICT)


def _traffic(model: ModelReport) -> tuple[object, ...]:
    """What a split replaces. The state as a whole moves on for many other reasons."""
    return model.traffic, model.assignment, model.change, model.pinned
