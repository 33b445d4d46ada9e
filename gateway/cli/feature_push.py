"""`driftgate features push`: rows as JSON lines to a running gateway, acknowledged when they are durable."""

import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any, NamedTuple
from urllib.parse import quote

import httpx
import msgspec
import typer

from driftgate.gateway.cli.admin_client import token_header
from driftgate.gateway.cli.feature_places import Json, ViewName, telling
from driftgate.gateway.cli.model_tables import print_json
from driftgate.gateway.cli.refused import Exit, Refused, exit_of

DEFAULT_URL = "http://127.0.0.1:8000"
BATCH_ROWS = 500
BATCH_BYTES = 2**19
"""Half of what a gateway takes at once."""
ANSWER_S = 10.0
_ROW = re.compile(r"row (\d+)\b")


class Pushed(msgspec.Struct, frozen=True):
    """What became of the rows of a push."""

    rows: int
    written: int
    older: int
    same: int


class Line(NamedTuple):
    """One row as it stands in the file, at the line `number` (from 1)."""

    number: int
    text: bytes


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

    Example: driftgate features push users rows.jsonl
    """
    counts = Counter[str]()
    with telling(), ExitStack() as stack:
        source = stack.enter_context(open(file, "rb")) if file else sys.stdin.buffer
        client = stack.enter_context(httpx.Client(trust_env=False, timeout=ANSWER_S))
        target = f"{url.rstrip('/')}/v1/features/{quote(view, safe='')}"
        try:
            for lines in batches(_checked_lines(source)):
                counts.update(_send(client, target, lines))
        except Refused as refused:
            before = f"; {counts['rows']} rows before are stored" if counts else ""
            raise Refused(f"{refused}{before}", refused.code) from refused
    pushed = Pushed(counts["rows"], counts["written"], counts["older"], counts["same"])
    if json:
        print_json(pushed)
    else:
        typer.echo(
            f"{pushed.rows} rows: {pushed.written} written, {pushed.older} older than what is stored, "
            f"{pushed.same} there already"
        )


def batches(lines: Iterable[Line]) -> Iterator[list[Line]]:
    """Yield the lines in groups that one request can carry."""
    batch: list[Line] = []
    size = 0
    for line in lines:
        if batch and (len(batch) == BATCH_ROWS or size + len(line.text) > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(line)
        size += len(line.text)
    if batch:
        yield batch


def of_the_file(error: str, lines: Sequence[Line]) -> str:
    """Return what the gateway says of `row 3` of a batch as said of the line that it stands in."""

    def line(row: re.Match[str]) -> str:
        number = int(row[1])
        return f"line {lines[number].number}" if number < len(lines) else row[0]

    return _ROW.sub(line, error, count=1)


def _checked_lines(source: Iterable[bytes]) -> Iterator[Line]:
    for number, line in enumerate(source, start=1):
        text = line.strip()
        if text:
            try:
                msgspec.json.decode(text, type=dict[str, Any])
            except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
                raise Refused(f"line {number} is no JSON object: {error}", Exit.FAILED) from error
            yield Line(number, text)


def _send(client: httpx.Client, target: str, lines: Sequence[Line]) -> dict[str, int]:
    # As it stands: what is there twice is the gateway's to refuse.
    body = b'{"rows":[%b]}' % b",".join(line.text for line in lines)
    try:
        answer = client.post(target, content=body, headers=token_header())
    except httpx.TimeoutException as error:
        raise Refused("no answer in time; pushing again is safe", Exit.TIMED_OUT) from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise Refused(
            f"nothing answers at {target}: name the data port with --url", Exit.UNREACHABLE
        ) from error
    if answer.status_code != 200:
        raise Refused(of_the_file(_error_text(answer), lines), exit_of(answer.status_code))
    found = msgspec.json.decode(answer.content, type=_Answer)
    return {"rows": len(lines), "written": found.written, "older": found.older, "same": found.same}


class _Answer(msgspec.Struct):
    written: int
    older: int
    same: int


def _error_text(answer: httpx.Response) -> str:
    try:
        return msgspec.json.decode(answer.content, type=dict[str, str])["error"]
    except (msgspec.MsgspecError, KeyError):
        return f"the gateway answered {answer.status_code}"
