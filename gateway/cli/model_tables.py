"""How models look in a terminal."""

import sys

import msgspec
from rich.table import Table

from driftgate.gateway.admin.documents import ChangeAnswer, ModelsAnswer
from driftgate.gateway.cli.terminal import console, plain, table
from driftgate.gateway.control.changes import PPM_PER_PERCENT
from driftgate.gateway.control.model_report import ArmReport, ModelReport, VersionReport
from driftgate.gateway.routing.intervals import Moves


def print_json(document: object) -> None:
    """Print a document as JSON for programs."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n")


def print_models(answer: ModelsAnswer) -> None:
    """Print one line per model, then what is wrong."""
    if answer.models:
        console().print(_table_of(answer.models))
    elif not answer.problems:
        console().print("No models yet. `driftgate publish MODEL.onnx --name NAME` publishes one.")
    for problem in answer.problems:
        console().print(plain(f"! {problem}"))
    _print_problems(answer.models)


def _table_of(models: tuple[ModelReport, ...]) -> Table:
    rows = table("MODEL", "TRAFFIC", "VERSIONS", "OWNER", "NOTES")
    for model in models:
        states = ", ".join(_version_word(version) for version in model.versions if version.held)
        rows.add_row(
            *map(plain, (model.name, traffic_text(model.traffic), states, model.owner, _notes(model)))
        )
    return rows


def print_model(model: ModelReport) -> None:
    """Print one model with all its versions."""
    screen = console()
    screen.print(plain(f"{model.name}: {traffic_text(model.traffic)}"))
    for text in (model.description, f"owner {model.owner}" if model.owner else "", _notes(model)):
        if text:
            screen.print(plain(text))
    rows = table("VERSION", "STATE", "TRAFFIC", "MEMORY", "CREATED", "TASK", "REASON")
    for version in model.versions:
        share = f"{version.percent:g} %" if version.percent else ""
        memory = f"{version.memory_bytes / 2**20:.1f} MiB" if version.memory_bytes else ""
        cells = (str(version.version), version.state, share, memory, version.created_at, version.task)
        rows.add_row(*map(plain, (*cells, version.reason)))
    screen.print(rows)
    _print_problems((model,))


def print_change(answer: ChangeAnswer) -> None:
    """Print what the traffic is after a change, and which keys it moved."""
    model = answer.model
    if answer.state == "dry-run":
        print_plain(f"dry run, nothing was changed: {answer.why or 'it would move no traffic'}")
    else:
        text = f"{model.name}: {traffic_text(model.traffic)} (generation {answer.generation})"
        print_plain(f"{text} {_notes(model)}".rstrip())
        if answer.state == "committed" and not answer.in_force:
            print_plain("! some worker has not followed yet: it may be stopped or starting")
    if answer.moves and answer.moves.moved_ppm:
        print_plain(moves_text(answer.moves))


def moves_text(moves: Moves) -> str:
    """Return how many keys change version, and where they go."""
    parts = [
        f"version {arm.version} {(arm.joining_ppm - arm.leaving_ppm) / PPM_PER_PERCENT:+g} %"
        for arm in moves.arms
    ]
    about = "about " if moves.rebuckets else ""
    return f"keys that change version: {about}{moves.moved_ppm / PPM_PER_PERCENT:g} % ({', '.join(parts)})"


def print_traffic(model: ModelReport) -> None:
    """Print the arms of a model's split, and what decides who gets which."""
    if not model.traffic:
        print_plain(f"{model.name}: no traffic")
        return
    rows = table("ARM", "VERSION", "SHARE")
    for arm in model.traffic:
        rows.add_row(plain(arm.name), str(arm.version), f"{arm.percent:g} %")
    console().print(rows)
    print_plain(f"key: {model.assignment.key}; salt: {model.assignment.salt}")
    if _notes(model):
        print_plain(_notes(model))


def print_plain(text: str) -> None:
    """Print one line of text, whatever is in it."""
    console().print(plain(text))


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
    notes += [f"version {version} is ejected" for version in model.ejected]
    notes += [f"waiting: {model.change.why}"] if model.change else []
    return "; ".join(notes)


def _print_problems(models: tuple[ModelReport, ...]) -> None:
    for model in models:
        for problem in model.problems:
            console().print(plain(f"! {model.name}: {problem}"))
