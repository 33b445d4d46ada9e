"""The command `driftgate`: a table of verbs, each in a module of its own, imported only when called."""

import sys
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from driftgate import __version__
from driftgate.features.errors import FeatureError
from driftgate.gateway.cli.refused import Exit, Refused
from driftgate.gateway.errors import GatewayError
from driftgate.gateway.listeners import CannotStart
from driftgate.gateway.settings import InvalidConfiguration
from driftgate.models.errors import ModelError

EXIT_CODES = (
    "Every command's --help has an example. "
    "Exit codes: 0 done, 1 refused or failed (the reason is on standard error), 2 wrong usage."
)

# verb, what --help says of it, the extra that brings its packages
VERBS = (
    ("serve", "Serve the models of a registry, or one ONNX file.", "server"),
    ("publish", "Put a model version into a registry.", "publish"),
    ("check", "Check a version as the server would before loading it.", "publish"),
    ("models", "Show the models of a running gateway and change what they serve.", "server"),
    ("apply", "Bring the settings of models to what files say.", "server"),
    ("events", "Show what happened on a gateway, with who and why.", "server"),
    ("token", "Make, list and revoke access tokens.", "server"),
    ("traffic", "Show and change which version of a model gets which keys.", "server"),
    ("drift", "Show whether models drift, let it notify, renew references.", "server"),
    ("alerts", "Show alerts, acknowledge and silence them, and try who is told.", "server"),
    ("features", "Declare feature views, fill them, and look at what is stored.", "server"),
    ("rollback", "Go back to the last version that was healthy with all traffic.", "server"),
    ("backup", "Save state, tokens and settings of the gateway on this machine.", "server"),
    ("restore", "Make a state directory from a backup.", "server"),
    ("log", "Find recorded predictions on this machine, show and export them.", "server"),
    ("doctor", "Check an installation and say what is wrong and what to do.", "server"),
    ("demo", "Train, serve and swap two real models on this machine.", "demo"),
    ("worker", "Run one worker on its own, in a container for example.", "server"),
    ("control", "Run the control plane on its own, in a container for example.", "server"),
    ("monitor", "Run the monitor on its own, in a container for example.", "server"),
    ("probes", "Answer metrics and probes on their own, for such planes.", "server"),
)
REASONS = (Refused, ModelError, FeatureError, GatewayError, InvalidConfiguration, CannotStart)
"""The errors whose text says to the person who called what is wrong."""

EXTRA_OF = {verb: extra for verb, _, extra in VERBS}


class VerbGroup(TyperGroup):
    """Knows every verb by its line in the table and imports a verb's module only to run it."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = {verb: TyperCommand(name=verb, help=line) for verb, line, _ in VERBS}

    def main(self, *args: Any, **options: Any) -> Any:
        """Run a command; one that is refused says why on standard error and ends with its exit code."""
        try:
            return super().main(*args, **options)
        except REASONS as error:
            typer.echo(f"driftgate: {error}", err=True)
            sys.exit(error.code if isinstance(error, Refused) else Exit.FAILED)

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Find the verb in the table, then its command in its module."""
        name, found, rest = super().resolve_command(ctx, args)
        return name, found and load_verb(str(name)), rest


def load_verb(verb: str) -> Any:
    """Import the module of `verb` and return its command; raise CannotStart if its packages are missing."""
    try:
        module = import_module(f"driftgate.gateway.cli.{verb}")
    except ModuleNotFoundError as error:
        if str(error.name).startswith("driftgate"):
            raise
        raise CannotStart(
            f"`driftgate {verb}` needs the package {error.name}: pip install 'driftgate[{EXTRA_OF[verb]}]'"
        ) from error
    command = typer.main.get_command(module.app)
    command.name = verb
    return command


app = typer.Typer(cls=VerbGroup, no_args_is_help=True, rich_markup_mode=None, epilog=EXIT_CODES)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"driftgate {__version__}")
        raise typer.Exit


@app.callback()
def driftgate(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and leave."),
    ] = False,
) -> None:
    """Online model-serving gateway with built-in monitoring."""


def main() -> None:
    """Run the command line and end with its exit code, see `driftgate.gateway.cli.refused`."""
    typer.main.get_command(app)(prog_name="driftgate")


if __name__ == "__main__":
    main()
