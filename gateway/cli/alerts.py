"""`driftgate alerts`: what evidence says is wrong, who looks at it, and who is told."""

import re
from typing import Annotated, NamedTuple
from urllib.parse import quote

import typer

from driftgate.gateway.admin.alert_documents import AlertDocument, AlertsAnswer, AskedAnswer
from driftgate.gateway.cli.admin_client import DEFAULT_SERVER, AdminClient, Server, model_path
from driftgate.gateway.cli.alert_tables import print_alert, print_alerts
from driftgate.gateway.cli.changing import Json, Name
from driftgate.gateway.cli.model_tables import print_json, print_plain
from driftgate.gateway.cli.refused import EXIT_CODES, Exit, Refused
from driftgate.models.errors import InvalidName
from driftgate.models.schema.names import check_model_name, parse_version
from driftgate.monitoring.alerts.alert import Rule

_SECONDS = {"m": 60, "h": 3600, "d": 86_400}
_DURATION = re.compile(r"(\d{1,5})([mhd])")

app = typer.Typer(
    add_completion=False, no_args_is_help=True, rich_markup_mode=None, help="See alerts, and answer them."
)

Alert = Annotated[str, typer.Argument(metavar="MODEL/ID", help="As `driftgate alerts list` shows it.")]
Why = Annotated[str, typer.Option("--why", help="Why; it stands in `driftgate events`.")]


class Asking(NamedTuple):
    """A call of the admin API, and what to say once it is done."""

    method: str
    path: str
    body: dict[str, object]
    said: str


@app.command("list", epilog=EXIT_CODES)
def list_(
    model: Annotated[str, typer.Argument(metavar="[MODEL]", help="Only of this model.")] = "",
    since: Annotated[str, typer.Option(help="Resolved ones too, that began since: 24h, or a time.")] = "7d",
    server: Server = DEFAULT_SERVER,
    json: Json = False,
) -> None:
    """Show alerts, the open ones first, and silences.

    Example: driftgate alerts list fraud --since 30d
    """
    answer = _alerts(model, since, server)
    print_json(answer) if json else print_alerts(answer)


@app.command(epilog=EXIT_CODES)
def show(alert: Alert, server: Server = DEFAULT_SERVER, json: Json = False) -> None:
    """Show one alert: its evidence, when it began, who was told and who looks at it.

    Example: driftgate alerts show fraud/3f2a9c1b77aa
    """
    found = _alert(*_parsed(alert), server)
    print_json(found) if json else print_alert(found)


@app.command(epilog=EXIT_CODES)
def ack(alert: Alert, why: Why, server: Server = DEFAULT_SERVER, json: Json = False) -> None:
    """Say that you look at an alert. Drift is watched anew from then on: if it lasts, it alarms again.

    Example: driftgate alerts ack fraud/3f2a9c1b77aa --why "the campaign"
    """
    model, alert_id = _parsed(alert)
    path = model_path(model, f"alerts/{quote(alert_id, safe='')}/acknowledge")
    _ask(Asking("POST", path, {"why": why}, f"{alert} is acknowledged"), server, json)


@app.command(epilog=EXIT_CODES)
def silence(  # noqa: PLR0913 - each is one option of the command
    subject: Annotated[str, typer.Argument(metavar="MODEL[@VERSION]", help="Whose alerts.")],
    why: Why,
    duration: Annotated[
        str, typer.Option("--for", help="How long, such as 30m, 4h or 2d; at most 30d.")
    ] = "4h",
    rule: Annotated[Rule | None, typer.Option(help="Only alerts of this rule.")] = None,
    server: Server = DEFAULT_SERVER,
    json: Json = False,
) -> None:
    """Tell nobody of a model's alerts for a while. They are recorded and shown all the same.

    Example: driftgate alerts silence fraud@2 --rule drift --why "repair" --for 2d
    """
    name, version = _model_and_version(subject)
    body = {"why": why, "for_s": _duration_s(duration), "rule": rule, "version": version}
    _ask(
        Asking("POST", model_path(name, "silences"), body, f"alerts of {subject} are silenced"), server, json
    )


@app.command(epilog=EXIT_CODES)
def unsilence(
    silence: Annotated[str, typer.Argument(metavar="MODEL/ID", help="As `driftgate alerts list` shows it.")],
    server: Server = DEFAULT_SERVER,
    json: Json = False,
) -> None:
    """End a silence before its time.

    Example: driftgate alerts unsilence fraud/9c1b77aa
    """
    model, silence_id = _parsed(silence)
    path = model_path(model, f"silences/{quote(silence_id, safe='')}")
    _ask(Asking("DELETE", path, {}, f"the silence {silence} is over"), server, json)


@app.command("test", epilog=EXIT_CODES)
def try_receivers(model: Name, server: Server = DEFAULT_SERVER, json: Json = False) -> None:
    """Tell every receiver of a model's alerts that this is a test.

    Example: driftgate alerts test fraud
    """
    _ask(
        Asking("POST", model_path(model, "alerts/test"), {}, f"the receivers of {model} are told"),
        server,
        json,
    )


def _alerts(model: str, since: str, server: str) -> AlertsAnswer:
    path = model_path(model, "alerts") if model else "/api/alerts"
    return AdminClient(server).get(f"{path}?since={quote(since, safe='')}", AlertsAnswer)


def _alert(model: str, alert_id: str, server: str) -> AlertDocument:
    found = next((one for one in _alerts(model, "90d", server).alerts if one.id == alert_id), None)
    if found is None:
        raise Refused(f"{model} has no alert {alert_id}: see `driftgate alerts list`", Exit.NOT_FOUND)
    return found


def _ask(call: Asking, server: str, json: bool) -> None:
    answer = AdminClient(server).change(call.method, call.path, call.body, AskedAnswer)
    if json:
        print_json(answer)
    elif answer.state == "done":
        print_plain(call.said)
    if answer.state == "asked":
        text = "it is asked for; the monitor does not answer now, and does it as soon as it runs"
        raise Refused(text, Exit.TIMED_OUT)


def _parsed(text: str) -> tuple[str, str]:
    model, slash, name = text.partition("/")
    if not slash or not name:
        raise typer.BadParameter("write MODEL/ID, as `driftgate alerts list` shows it")
    return _checked(model), name


def _model_and_version(subject: str) -> tuple[str, int]:
    name, at, version = subject.partition("@")
    try:
        return check_model_name(name), parse_version(version) if at else 0
    except InvalidName as error:
        raise typer.BadParameter(str(error), param_hint="MODEL") from error


def _checked(model: str) -> str:
    return _model_and_version(model.partition("@")[0])[0]


def _duration_s(text: str) -> int:
    match = _DURATION.fullmatch(text)
    if match is None:
        raise typer.BadParameter(f"{text!r} is no duration: write 30m, 4h or 2d", param_hint="--for")
    return int(match[1]) * _SECONDS[match[2]]
