"""How models look in a terminal."""

import sys

import msgspec
from rich.console import Console
from rich.table import Table

from driftgate.gateway.admin_documents import ChangeAnswer, ModelsAnswer
from driftgate.gateway.model_report import ArmReport, ModelReport, VersionReport

PIPE_WIDTH = 200


def print_json(document: object) -> None:
    """Print a document as JSON for programs."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n")


def print_models(answer: ModelsAnswer) -> None:
    """Print one line per model, then what is wrong."""
    if answer.models:
        _console().print(_table_of(answer.models))
    elif not answer.problems:
        _console().print("No models yet. `driftgate publish MODEL.onnx --name NAME` publishes one.")
    for problem in answer.problems:
        _console().print(_plain(f"! {problem}"))
    _print_problems(answer.models)


def _table_of(models: tuple[ModelReport, ...]) -> Table:
    table = _table("MODEL", "TRAFFIC", "VERSIONS", "OWNER", "NOTES")
    for model in models:
        states = ", ".join(_version_word(version) for version in model.versions if version.held)
        table.add_row(
            *map(_plain, (model.name, traffic_text(model.traffic), states, model.owner, _notes(model)))
        )
    return table


def print_model(model: ModelReport) -> None:
    """Print one model with all its versions."""
    console = _console()
    console.print(_plain(f"{model.name}: {traffic_text(model.traffic)}"))
    for text in (model.description, f"owner {model.owner}" if model.owner else "", _notes(model)):
        if text:
            console.print(_plain(text))
    table = _table("VERSION", "STATE", "TRAFFIC", "MEMORY", "CREATED", "TASK", "REASON")
    for version in model.versions:
        share = f"{version.percent:g} %" if version.percent else ""
        memory = f"{version.memory_bytes / 2**20:.1f} MiB" if version.memory_bytes else ""
        cells = (str(version.version), version.state, share, memory, version.created_at, version.task)
        table.add_row(*map(_plain, (*cells, version.reason)))
    console.print(table)
    _print_problems((model,))


def print_change(answer: ChangeAnswer) -> None:
    """Print what the traffic is after a change."""
    model = answer.model
    text = f"{model.name}: {traffic_text(model.traffic)} (generation {answer.generation})"
    _console().print(_plain(f"{text} {_notes(model)}".rstrip()))


def traffic_text(arms: tuple[ArmReport, ...]) -> str:
    """Return `7: 90 %, 8: 10 %`."""
    return ", ".join(f"{arm.version}: {arm.percent:g} %" for arm in arms) or "no traffic"


def _version_word(version: VersionReport) -> str:
    return (
        str(version.version) if version.state == "READY" else f"{version.version} ({version.state.lower()})"
    )


def _notes(model: ModelReport) -> str:
    notes = [f"pinned to {model.pinned}"] if model.pinned else []
    notes += ["unloaded"] if model.unloaded else []
    notes += [f"copies to {shadow.version}: {shadow.percent:g} %" for shadow in model.shadows]
    notes += [f"{version} is ejected" for version in model.ejected]
    notes += [f"waiting: {model.change.why}"] if model.change else []
    return "; ".join(notes)


def _print_problems(models: tuple[ModelReport, ...]) -> None:
    for model in models:
        for problem in model.problems:
            _console().print(_plain(f"! {model.name}: {problem}"))


def _table(*headers: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for header in headers:
        table.add_column(header, overflow="fold")
    return table


def _console() -> Console:
    """A console that takes no text for markup, and does not fold what goes to a pipe."""
    width = None if sys.stdout.isatty() else PIPE_WIDTH
    return Console(markup=False, highlight=False, emoji=False, width=width)


def _plain(text: str) -> str:
    """Escape what could steer the terminal: texts come from model directories that others write."""
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)
