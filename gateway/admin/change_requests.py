"""Requests that change a model: submit, wait until it is in force on every worker, answer.

With `?dry_run=true` the answer says what would change, and nothing is committed.
"""

from collections.abc import Callable
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from driftgate.gateway.access.guards import who_asks
from driftgate.gateway.admin.documents import ChangeAnswer
from driftgate.gateway.admin.requests import dry_run, expected_generation, wait_seconds
from driftgate.gateway.control.changes import Subject, change_of, find_subject
from driftgate.gateway.control.model_report import ModelReport, arm_reports, model_names, report_model
from driftgate.gateway.control.pending import change_ended, in_force
from driftgate.gateway.control.reconciler import Reconciler
from driftgate.gateway.errors import NotFound, PreconditionFailed
from driftgate.gateway.state.desired import DesiredModel
from driftgate.gateway.state.generations import StaleGeneration

Ask = Callable[[Subject], DesiredModel]


async def move(reconciler: Reconciler, request: Request, ask: Ask) -> Response:
    """Submit a change of traffic and answer when it has ended; or only say what it would move."""
    name, patience_s = request.path_params["model"], wait_seconds(request)
    subject = find_subject(name, reconciler.desired, reconciler.facts(), who_asks(request))
    if dry_run(request):
        check_expected(reconciler, request)
        return _answer_change(reconciler, subject, ask(subject), state="dry-run", in_force=False)
    asked = submit(reconciler, request, ask)
    outcome = await change_ended(reconciler, name, asked, patience_s)
    reached = outcome == "committed" and await in_force(reconciler, patience_s)
    return _answer_change(reconciler, subject, asked, state=outcome, in_force=reached)


def submit(reconciler: Reconciler, request: Request, ask: Ask) -> DesiredModel:
    """Commit what is asked for as far as it can be now; raise PreconditionFailed if it is too late for it."""
    expected = expected_generation(request)
    try:
        return reconciler.submit(request.path_params["model"], who_asks(request), ask, expected)
    except StaleGeneration as error:
        raise PreconditionFailed(f"{error}: read the model and decide again") from error


def check_expected(reconciler: Reconciler, request: Request) -> None:
    """Raise PreconditionFailed if `If-Match` names another generation than the newest."""
    expected, newest = expected_generation(request), reconciler.desired.generation
    if expected not in (None, newest):
        raise PreconditionFailed(f"the newest generation is {newest}, not {expected}: read and decide again")


def json_answer(reconciler: Reconciler, document: object, status: int = 200) -> Response:
    """Return a document as JSON, with the newest generation as its ETag."""
    etag = {"etag": f'"{reconciler.desired.generation}"'}
    return Response(msgspec.json.encode(document), status, etag, "application/json")


def report(reconciler: Reconciler, name: str) -> ModelReport:
    """Return what there is to say about a model; raise NotFound for one that nobody knows."""
    facts, desired = reconciler.facts(), reconciler.desired
    if name not in model_names(desired, facts):
        raise NotFound(f"there is no model {name[:140]!r}")
    return report_model(name, desired, facts, reconciler.checking)


def _answer_change(
    reconciler: Reconciler, subject: Subject, asked: DesiredModel, **how_it_ended: Any
) -> Response:
    document = ChangeAnswer(
        generation=reconciler.desired.generation,
        model=report(reconciler, subject.name),
        before=arm_reports(subject.model.split),
        moves=change_of(subject.model, asked),
        why=asked.change.why if asked.change else "",
        pinned_before=subject.model.pinned,
        **how_it_ended,
    )
    return json_answer(reconciler, document, 202 if document.state == "pending" else 200)
