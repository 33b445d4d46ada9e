"""`driftgate rollback`: the one emergency verb."""

import typer

from driftgate.gateway.admin.documents import ChangeAnswer
from driftgate.gateway.cli.admin_client import DEFAULT_SERVER, Server
from driftgate.gateway.cli.changing import PATIENCE_S, Call, DryRun, Json, Manner, Name, Patience, change
from driftgate.gateway.cli.model_tables import print_plain
from driftgate.gateway.cli.refused import EXIT_CODES

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(epilog=EXIT_CODES)
def rollback(
    name: Name,
    server: Server = DEFAULT_SERVER,
    timeout: Patience = PATIENCE_S,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Go back to the last version that was healthy with all traffic, and pin it; says how to undo that.

    Example: driftgate rollback fraud
    """
    answer = change(Call("POST", name, "rollback", {}), Manner(server, timeout, dry_run, json))
    if not json and not dry_run:
        print_plain(f"to undo: {undo(name, answer)}")


def undo(name: str, answer: ChangeAnswer) -> str:
    """Return the commands that bring back what was there before."""
    commands = [f"driftgate models unpin {name}"]
    if len(answer.before) == 1 and answer.before != answer.model.traffic:
        commands.append(f"driftgate models promote {name} {answer.before[0].version}")
    elif answer.before != answer.model.traffic and answer.before:
        shares = " ".join(f"{arm.version}={arm.percent:g}" for arm in answer.before)
        commands.append(f"driftgate traffic set {name} {shares}")
    if answer.pinned_before is not None:
        commands.append(f"driftgate models pin {name}")
    return " && ".join(commands)
