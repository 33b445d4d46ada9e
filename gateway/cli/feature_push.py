"""`driftgate features push`: rows as JSON lines to a running gateway, acknowledged when they are durable."""

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import httpx
import msgspec
import typer

from driftgate.gateway.cli.admin_client import Exit, Refused, exit_of, leave, token_header
from driftgate.gateway.cli.feature_places import Json, ViewName, telling
from driftgate.gateway.cli.model_tables import print_json

DEFAULT_URL = "http://127.0.0.1:8000"
BATCH_ROWS = 500
ANSWER_S = 10.0


class Pushed(msgspec.Struct, frozen=True):
    """What became of the rows of a push."""

    rows: int
    written: int
    older: int
    same: int


def push(
    view: ViewName,
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="JSON lines. [standard input]")
    ] = None,
    url: Annotated[
        str, typer.Option(envvar="DRIFTGATE_URL", help="Data port of the gateway.", show_envvar=True)
    ] = DEFAULT_URL,
    json: Json = False,
) -> None:
    """Push rows, one JSON object per line, with join keys, event_time and every feature.

    Pushing again is safe: an older row never replaces a newer one.
    """
    counts, line = Counter[str](), 1
    with telling(), ExitStack() as stack:
        lines = stack.enter_context(open(file, "rb")) if file else sys.stdin.buffer
        client = stack.enter_context(httpx.Client(trust_env=False, timeout=ANSWER_S))
        target = f"{url.rstrip('/')}/v1/features/{quote(view, safe='')}"
        for rows in _batches(_rows(iter(lines))):
            try:
                counts.update(_send(client, target, rows))
            except Refused as refused:
                where = f"rows {line} to {line + len(rows) - 1}, of which row 0 is row {line}"
                leave(Refused(f"{where}: {refused}; {counts['rows']} rows before are stored", refused.code))
            line += len(rows)
    pushed = Pushed(counts["rows"], counts["written"], counts["older"], counts["same"])
    if json:
        print_json(pushed)
    else:
        typer.echo(
            f"{pushed.rows} rows: {pushed.written} written, {pushed.older} older than what is stored, "
            f"{pushed.same} there already"
        )


def _rows(lines: Iterator[bytes]) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                yield msgspec.json.decode(line, type=dict[str, Any])
            except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
                leave(Refused(f"line {number} is no JSON object: {error}", Exit.FAILED))


def _batches(rows: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    while batch := list(islice(rows, BATCH_ROWS)):
        yield batch


def _send(client: httpx.Client, target: str, rows: list[dict[str, Any]]) -> dict[str, int]:
    try:
        answer = client.post(target, content=msgspec.json.encode({"rows": rows}), headers=token_header())
    except httpx.TimeoutException as error:
        raise Refused("no answer in time; pushing again is safe", Exit.TIMED_OUT) from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise Refused(
            f"nothing answers at {target}: name the data port with --url", Exit.UNREACHABLE
        ) from error
    if answer.status_code != 200:
        raise Refused(_error_text(answer), exit_of(answer.status_code))
    found = msgspec.json.decode(answer.content, type=_Answer)
    return {"rows": len(rows), "written": found.written, "older": found.older, "same": found.same}


class _Answer(msgspec.Struct):
    written: int
    older: int
    same: int


def _error_text(answer: httpx.Response) -> str:
    try:
        return msgspec.json.decode(answer.content, type=dict[str, str])["error"]
    except (msgspec.MsgspecError, KeyError):
        return f"the gateway answered {answer.status_code}"
