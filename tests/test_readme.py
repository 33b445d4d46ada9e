"""What README and docs show exists: commands, options, links, settings, metrics, and Python that runs."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from driftgate.gateway.cli.main import VERBS, load_verb
from driftgate.gateway.settings import Settings, load_settings
from driftgate.models.registry.settings import parse_settings

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)#\s]+)(?:#[^)]*)?\)")
SETTING = re.compile(r"^\| `(\w+)\.(\w+)` \| `([^`]*)` \|", re.MULTILINE)
METRIC = re.compile(r"`(driftgate_\w+)`")
FLOOR = re.compile(r"`(\w+)/`")
EXAMPLE = re.compile(r"^Example: driftgate (.+)$", re.MULTILINE)


def blocks(page: Path, language: str) -> list[str]:
    """Return the fenced blocks of one language on a page."""
    return [text for found, text in BLOCK.findall(page.read_text()) if found == language]


def commands(program: str) -> list[Any]:
    """Return every command line that begins with `program`, in all console blocks, with its page."""
    found = []
    for page in PAGES:
        for block in blocks(page, "console"):
            for line in block.replace("\\\n", " ").splitlines():
                words = shlex.split(line.removeprefix("$ "), comments=True) if line.startswith("$ ") else []
                if words and words[0] == program:
                    found.append(pytest.param(words[1:], id=f"{page.name}: {' '.join(words)[:70]}"))
    return found


def assert_taken(words: list[str]) -> None:
    """Check that a `driftgate` command has a verb that exists, and only what that verb takes."""
    assert words[0] in {verb for verb, _, _ in VERBS}
    command, rest = load_verb(words[0]), words[1:]
    while hasattr(command, "commands") and rest and rest[0] in command.commands:
        command, rest = command.commands[rest[0]], rest[1:]
    context = command.context_class(command, info_name=words[0])
    parameters, leftover, _ = command.make_parser(context).parse_args(list(rest))
    assert leftover == []
    missing = [p.name for p in command.params if p.required and parameters.get(p.name) in (None, ())]
    assert missing == []


def leaves(command: Any, path: list[str]) -> Iterator[tuple[list[str], Any]]:
    """Yield every command below `command` that has none below itself, with the words that call it."""
    below = getattr(command, "commands", {})
    for name, one in below.items():
        yield from leaves(one, [*path, name])
    if not below:
        yield path, command


@pytest.mark.parametrize("words", commands("driftgate"))
def test_every_command_exists(words: list[str]) -> None:
    """A shown `driftgate` command is one that can be called like this."""
    assert_taken(words)


@pytest.mark.parametrize("verb", [verb for verb, _, _ in VERBS])
def test_every_command_shows_an_example(verb: str) -> None:
    """The --help of every command has an example of itself, which can be called like this."""
    for path, command in leaves(load_verb(verb), [verb]):
        example = EXAMPLE.search(command.help)
        assert example, path
        words = shlex.split(example[1])
        assert words[: len(path)] == path
        assert_taken(words)


@pytest.mark.parametrize("words", commands("make"))
def test_every_make_target_exists(words: list[str]) -> None:
    """A shown `make` command names targets of the Makefile."""
    targets = set(re.findall(r"^([a-z][\w-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(words) <= targets


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_relative_links_resolve(page: Path) -> None:
    """A link to a file of the project leads to a file."""
    links = [link for link in LINK.findall(page.read_text()) if "://" not in link]
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_blocks_compile(page: Path) -> None:
    """Shown Python is Python."""
    for block in blocks(page, "python"):
        compile(block, str(page), "exec")


def test_publishing_as_shown_works(tmp_path: Path) -> None:
    """The README's first Python block publishes a version when it is pasted into a file and run."""
    script = next(block for block in blocks(PAGES[0], "python") if "driftgate.publish" in block)
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=90,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "registry" / "iris" / "1" / "manifest.json").exists()


def test_the_shown_view_is_one() -> None:
    """The view that data engineers are shown in Python can be declared."""
    script = next(
        block for block in blocks(ROOT / "docs" / "features.md", "python") if "FeatureView" in block
    )
    shown: dict[str, Any] = {}
    exec(compile(script, "views.py", "exec"), shown)  # noqa: S102 - our own page
    assert shown["shops"].name == "shops"


def test_settings_table_is_complete_and_true() -> None:
    """The README's table names every process setting with its default."""
    shown = {(section, key): default for section, key, default in SETTING.findall(PAGES[0].read_text())}
    defaults = msgspec.to_builtins(Settings())
    real = {
        (section, key): str(value).lower() if isinstance(value, bool) else str(value)
        for section, keys in defaults.items()
        for key, value in keys.items()
    }
    assert shown == real


def test_shown_environment_variables_are_settings() -> None:
    """A shown DRIFTGATE__SECTION__KEY assignment is accepted as a setting."""
    text = "\n".join(page.read_text() for page in PAGES)
    shown = dict(re.findall(r"\b(DRIFTGATE__[A-Z]+__[A-Z_]+)=(\S+?)[`\s]", text))
    assert shown
    assert load_settings(None, shown, {})


def test_metrics_list_is_complete_and_true() -> None:
    """The page for SREs lists every metric that the sources name, and no other."""
    sources = "".join(path.read_text() for path in (ROOT / "gateway" / "metrics").glob("*.py"))
    shown = METRIC.findall((ROOT / "docs" / "sre.md").read_text())
    assert {name.removesuffix("_total") for name in shown} == set(re.findall(r'"(driftgate_\w+)"', sources))


def test_shown_receivers_are_accepted(tmp_path: Path) -> None:
    """The receivers that SREs are shown are settings, and what a model says of them is a model.toml."""
    receivers, model = blocks(ROOT / "docs" / "sre.md", "toml")
    (tmp_path / "driftgate.toml").write_text(receivers)
    settings = load_settings(tmp_path / "driftgate.toml", {}, {})
    named = parse_settings(model).alerts
    assert {*named.page, *named.ticket} <= set(settings.alerts.receivers)


def test_shown_model_settings_are_accepted() -> None:
    """The model.toml that operators are shown is one."""
    shown = blocks(ROOT / "docs" / "operators.md", "toml")
    assert shown
    for block in shown:
        parse_settings(block)


@pytest.mark.parametrize("room", ["gateway", "models", "monitoring", "features"])
def test_every_floor_is_described(room: str) -> None:
    """The page on architecture lists every folder of a room, and no other."""
    text = (ROOT / "docs" / "architecture.md").read_text()
    table = text.partition(f"| `{room}/…` |")[2].partition("\n\n")[0]
    shown = [name for line in table.splitlines() for name in FLOOR.findall("|".join(line.split("|")[:2]))]
    assert sorted(shown) == sorted(path.parent.name for path in (ROOT / room).glob("*/__init__.py"))
