"""The verbs of `driftgate drift` for evidence: status, arm, observe, ack and backtest."""

from typing import Annotated, Any
from urllib.parse import urlencode

import typer

from driftgate.gateway.admin.drift_documents import BacktestAnswer, DriftAnswer, DriftChangeAnswer
from driftgate.gateway.cli.admin_client import DEFAULT_SERVER, AdminClient, Question, Server, model_path
from driftgate.gateway.cli.changing import DryRun, Json, Name
from driftgate.gateway.cli.drift_subjects import Subject, parsed
from driftgate.gateway.cli.drift_tables import print_all, print_backtest, print_drift
from driftgate.gateway.cli.model_tables import print_json, print_plain
from driftgate.gateway.cli.refused import Exit, Refused
from driftgate.monitoring.drift.status import DriftStatus

BACKTEST_S = 300.0
ACKNOWLEDGED = "acknowledged: evidence begins anew; "
Why = Annotated[str, typer.Option(help="Why, for the timeline.")]
Since = Annotated[str, typer.Option(help="How far back: 30d, 12h, or ISO 8601 in UTC.")]
Budget = Annotated[str, typer.Option(help="False alarms that are allowed, in h, d or w.")]


def status(
    model: Annotated[str, typer.Argument(metavar="[MODEL]", help="Only this model, in detail.")] = "",
    server: Server = DEFAULT_SERVER,
    json: Json = False,
) -> None:
    """Show whether models drift: since when, which features, on what evidence, and who is told.

    Example: driftgate drift status fraud
    """
    client = AdminClient(server)
    if model:
        answer = client.get(model_path(parsed(model)[0], "drift"), DriftAnswer)
        print_json(answer) if json else print_drift(answer)
    else:
        everything = client.get("/api/drift", DriftStatus)
        print_json(everything) if json else print_all(everything)


def arm(  # noqa: PLR0913 - each is one option of the command
    subject: Subject,
    without_hours: Annotated[
        bool, typer.Option("--without-hours", help="Judge by the reference alone, as traffic has no seasons.")
    ] = False,
    why: Why = "",
    server: Server = DEFAULT_SERVER,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Let drift of a version notify its receivers, from now on.

    Each hour of the week is judged by what it was like in the last weeks, of which there must be two. Look at
    `driftgate drift backtest` first.

    Example: driftgate drift arm fraud@2 --why "looked at four weeks"
    """
    name, version = parsed(subject)
    version = version or _newest(name, server)
    body = {"version": version, "hours": not without_hours, "why": why}
    _change(server, f"{model_path(name, 'drift')}/arm", body, (dry_run, json))


def observe(
    subject: Subject,
    why: Why = "",
    server: Server = DEFAULT_SERVER,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Let drift of a version (without one: of all) notify nobody; evidence is shown all the same.

    Example: driftgate drift observe fraud@2
    """
    name, version = parsed(subject)
    body = {"why": why} | ({"version": version} if version else {})
    _change(server, f"{model_path(name, 'drift')}/observe", body, (dry_run, json))


def ack(
    model: Name, why: Why = "", server: Server = DEFAULT_SERVER, dry_run: DryRun = False, json: Json = False
) -> None:
    """Acknowledge drift of a model: its evidence begins anew, and what goes on drifting is found again.

    Example: driftgate drift ack fraud --why "new sensor, expected"
    """
    _change(server, f"{model_path(model, 'drift')}/acknowledge", {"why": why}, (dry_run, json), ACKNOWLEDGED)


def backtest(
    model: Name,
    since: Since = "30d",
    budget: Budget = "1 in 4w",
    server: Server = DEFAULT_SERVER,
    json: Json = False,
) -> None:
    """Say what would have notified if it had been armed: when, and for which features.

    Example: driftgate drift backtest fraud --since 30d --budget "1 in 4w"
    """
    path = f"{model_path(model, 'drift')}/backtest?{urlencode({'since': since, 'budget': budget})}"
    answer, _ = AdminClient(server).ask(Question("GET", path, wait_s=BACKTEST_S), BacktestAnswer)
    print_json(answer) if json else print_backtest(answer)


def _newest(name: str, server: str) -> int:
    """Return the newest version that has windows."""
    found = AdminClient(server).get(model_path(name, "drift"), DriftAnswer).versions
    if not found:
        raise Refused(f"no window of {name} is complete yet: name the version, as {name}@3", Exit.NOT_FOUND)
    return found[0].figure.version


def _change(server: str, path: str, body: dict[str, Any], manner: tuple[bool, bool], done: str = "") -> None:
    dry_run, json = manner
    answer = AdminClient(server).change(
        "POST", f"{path}?dry_run={str(dry_run).lower()}", body, DriftChangeAnswer
    )
    if json:
        print_json(answer)
        return
    armed = ", ".join(f"{answer.model}@{version}" for version in answer.armed) or "none"
    trial = "dry run, nothing was changed; it would be: " if dry_run else ""
    print_plain(f"{trial}{done}armed: {armed} (generation {answer.generation})")
