"""`driftgate drift show`: the cells of one feature, then and now, how far apart, and what could be seen."""

from typing import Annotated
from urllib.parse import urlencode

import typer
from rich.table import Table
from rich.text import Text

from driftgate.gateway.cli.admin_client import DEFAULT_SERVER, AdminClient, Server, model_path
from driftgate.gateway.cli.changing import Json
from driftgate.gateway.cli.drift_subjects import Subject, parsed
from driftgate.gateway.cli.drift_tables import moment, power_of_ten
from driftgate.gateway.cli.model_tables import print_json, print_plain
from driftgate.gateway.cli.terminal import console, plain
from driftgate.gateway.dashboard.one_feature import Cell, FeatureCells, Rows
from driftgate.gateway.dashboard.window_reader import FeatureAnswer, PowerAnswer
from driftgate.monitoring.drift.effect_sizes import EffectSizes

MOVED = "moved"


def show_feature(  # noqa: PLR0913 - each is one option of the command
    subject: Subject,
    feature: Annotated[str, typer.Argument(metavar="FEATURE", help="Its name, as `drift status` has it.")],
    minutes: Annotated[int, typer.Option(min=1, help="Length of the window, up to now.")] = 60,
    arm: Annotated[str | None, typer.Option(help="Arm, if not that of the newest window.")] = None,
    server: Server = DEFAULT_SERVER,
    json: Json = False,
) -> None:
    """Show a feature: its cells in the reference, before and now, which moved, by how much, and since when.

    Also the smallest change that this reference and this traffic can show.

    Example: driftgate drift show fraud amount --minutes 30
    """
    name, version = parsed(subject)
    query = {"name": feature, "minutes": minutes} | ({"version": version} if version else {})
    query |= {"arm": arm} if arm is not None else {}
    client = AdminClient(server)
    answer = client.get(f"{model_path(name, 'feature')}?{urlencode(query)}", FeatureAnswer)
    smallest = _smallest(client.get(model_path(name, "power"), PowerAnswer), answer)
    if json:
        print_json(answer)
    else:
        _print(answer, smallest)


def _smallest(answer: PowerAnswer, shown: FeatureAnswer) -> str:
    for version in answer.versions:
        for one in version.features if version.version == shown.version else ():
            if one.name == shown.name:
                rows = f", after about {one.rows} rows" if one.rows is not None else ""
                return f"the smallest change that is found within a day: {one.smallest}{rows}"
    return "no change can be found: there is no reference for it"


def _print(answer: FeatureAnswer, smallest: str) -> None:
    word = "drifts" if answer.is_named else "is not named"
    log10 = answer.log10_evidence
    evidence = "no evidence yet" if log10 is None else f"E = {power_of_ten(log10)}"
    print_plain(
        f"{answer.name} of {answer.model}@{answer.version}, arm {answer.arm} ({answer.role}): {word} "
        f"({evidence})"
    )
    moved = answer.moved
    if moved is not None and answer.is_named:
        print_plain(f"{'more' if moved.rises else 'fewer'} rows {moved.cell} since {moment(moved.onset_us)}")
    print_plain(_effect(answer.windows))
    print_plain(smallest)
    windows = answer.windows
    table = Table(box=None, pad_edge=False)
    for heading in ("cell", "reference", "before", "now", ""):
        table.add_column(heading, justify="left" if heading in ("cell", "") else "right")
    for cell in windows.cells:
        if cell.reference or cell.before or cell.window:
            mark = MOVED if moved is not None and answer.is_named and cell.name == moved.cell else ""
            table.add_row(*(Text(plain(text)) for text in (*_row(cell, windows), mark)))
    console().print(table)


def _row(cell: Cell, windows: FeatureCells) -> tuple[str, str, str, str]:
    counts = (cell.reference, windows.reference), (cell.before, windows.before), (cell.window, windows.window)
    reference, before, window = (_share(count, rows) for count, rows in counts)
    return cell.name, reference, before, window


def _share(count: int, rows: Rows) -> str:
    return f"{count / rows.rows:.1%}" if rows.rows else ""


def _effect(windows: FeatureCells) -> str:
    effect = windows.effect
    if not isinstance(effect, EffectSizes):
        return f"how far apart: not enough data: {effect.reason}"
    parts = [f"PSI {effect.psi:.3f} ({effect.magnitude})", f"JS distance {effect.js_distance:.3f} (base 2)"]
    parts += [f"Wasserstein {effect.w1_sigma:.2f} sigma"] if effect.w1_sigma is not None else []
    parts += [f"KS {effect.ks:.3f}"] if effect.ks is not None else []
    return f"how far apart: {', '.join(parts)}"
