"""The command line: a table of verbs that costs nothing until one of them runs."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from driftgate import __version__
from driftgate.gateway.cli.main import VERBS


def driftgate(*words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "driftgate.gateway.cli.main", *words],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        timeout=60,
    )


def test_help_lists_every_verb_with_its_line() -> None:
    """`driftgate --help` shows what there is."""
    shown = driftgate("--help").stdout
    for verb, line, _ in VERBS:
        assert f"{verb} " in shown
        assert line in shown


def test_help_imports_no_verb() -> None:
    """Looking at the list costs nothing: no verb's module and no heavy package is imported."""
    listing = (
        "import sys; from driftgate.gateway.cli import main\n"
        "sys.argv = ['driftgate', '--help']\n"
        "try: main.main()\nexcept SystemExit: pass\n"
        f"verbs = {['driftgate.gateway.cli.' + verb for verb, _, _ in VERBS]!r}\n"
        "heavy = [*verbs, 'numpy', 'pandas', 'onnxruntime', 'starlette', 'uvicorn', 'sklearn']\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", listing], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines()[-1] == "[]"


def test_the_supervisor_imports_nothing_heavy() -> None:
    """What serves nothing itself loads no numbers, no runtime and no server."""
    listing = (
        "import sys, driftgate.gateway.cli.serve\n"
        "print([n for n in ('numpy', 'pandas', 'onnxruntime', 'starlette', 'uvicorn', 'asyncio', 'rich') "
        "if n in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", listing], capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"


def test_the_version_is_told() -> None:
    """`driftgate --version` names the version and succeeds."""
    ran = driftgate("--version")
    assert (ran.returncode, ran.stdout) == (0, f"driftgate {__version__}\n")


def test_an_unknown_verb_suggests_a_known_one() -> None:
    """A typing error is wrong usage, answered with what was probably meant."""
    ran = driftgate("publsh")
    assert ran.returncode == 2
    assert "Did you mean 'publish'" in ran.stderr


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["serve", "--workers", "-1"], 1, "driftgate: the command line, server.workers"),
        (["serve", "--port", "70000"], 1, "driftgate: the command line, server.port"),
        (["serve", "--config", "none.toml"], 1, "driftgate: none.toml cannot be read: "),
        (["serve", "--admin-host", "0.0.0.0"], 1, "driftgate: --admin-host 0.0.0.0: "),  # noqa: S104
        (["serve", "--host", "192.0.2.1"], 1, "driftgate: --host 192.0.2.1: "),
        (["serve", "--registry", "/proc/none"], 1, "driftgate: the registry .* --registry"),
        (["serve", "--state", "/proc/none"], 1, "driftgate: the state directory .* --state"),
        (["serve", "a.onnx", "--registry", "r"], 2, "either MODEL.onnx or --registry"),
        (["serve", "--prt", "1"], 2, "No such option"),
        (["control", "--admin-host", "0.0.0.0"], 1, "driftgate: --admin-host 0.0.0.0: "),  # noqa: S104
        (["worker", "--slot", "-1"], 2, "slot"),
    ],
)
def test_a_refusal_says_what_to_change(tmp_path: Path, words: list[str], code: int, message: str) -> None:
    """What cannot be is one clear sentence and an exit code, never a traceback."""
    ran = driftgate(*words, cwd=tmp_path)
    assert ran.returncode == code
    assert "Traceback" not in ran.stderr
    assert re.search(message, ran.stderr)
