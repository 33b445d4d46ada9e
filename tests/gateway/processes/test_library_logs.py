"""Libraries log through the logger of the process."""

import json
import logging
import subprocess
import sys
from io import BytesIO

import pytest

from driftgate.gateway.logs import Logger
from driftgate.gateway.processes.library_logs import LibraryLogs

BREAKS = """
import asyncio
from driftgate.gateway.processes.library_logs import LibraryLogs
from driftgate.gateway.logs import Logger

async def main():
    loop = asyncio.get_running_loop()
    loop.call_soon(lambda: 1 / 0)
    await asyncio.sleep(0)

LibraryLogs(Logger("worker-0")).install()
asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("level", "said"),
    [(logging.ERROR, ["error", "library_error"]), (logging.WARNING, ["warning", "library_warning"])],
)
def test_a_record_becomes_one_line(level: int, said: list[str]) -> None:
    """Whatever a library says, line ends included, is one line that names it."""
    stream = BytesIO()
    record = logging.LogRecord("uvicorn.error", level, __file__, 1, "broke: %s", ("a\nb",), None)
    LibraryLogs(Logger("worker-0", stream=stream)).handle(record)
    (line,) = map(json.loads, stream.getvalue().splitlines())
    assert [line["level"], line["event"]] == said
    assert (line["library"], line["reason"]) == ("uvicorn.error", "broke: a\nb")


def test_what_breaks_in_a_loop_is_logged_with_its_traceback() -> None:
    """The event loop's own report is a line like any other, and the only one."""
    ran = subprocess.run([sys.executable, "-c", BREAKS], capture_output=True, check=True)
    (line,) = map(json.loads, ran.stderr.splitlines())
    assert (line["event"], line["library"], line["process"]) == ("library_error", "asyncio", "worker-0")
    assert "ZeroDivisionError" in line["reason"]
