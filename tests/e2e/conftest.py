"""Real gateways for tests, on free ports, stopped with the test."""

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.gateway import READY_WITHIN_S, Gateway, accepting, end, running, start, until
from harness.models import linear_model, publish_model

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture
def start_gateway(tmp_path: Path) -> Iterator[Callable[..., Gateway]]:
    """Start gateways on `tmp_path`/registry and `tmp_path`/state; each is stopped when the test ends."""
    with ExitStack() as started:

        def begin(
            *options: str,
            workers: int = 1,
            environment: Mapping[str, str] | None = None,
            wait: bool = True,
            stderr: int | None = None,
        ) -> Gateway:
            gateway = start(tmp_path, options, workers, environment or {}, stderr)
            started.callback(end, gateway)
            if wait:
                until(lambda: accepting(gateway) == workers, READY_WITHIN_S, "every worker accepts")
            return gateway

        yield begin


@pytest.fixture(scope="module", name="browser")
def browser_fixture() -> "Iterator[Browser]":
    """A Chromium without a window; the test is skipped where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("there is no Chromium; install Debian's chromium")
    with playwright.sync_playwright() as run:
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        found = run.chromium.launch(executable_path=chromium, args=arguments)
        yield found
        found.close()


@pytest.fixture(scope="module")
def shared_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """One gateway for the tests of a module that only ask: model `m` doubles the sum of four numbers."""
    root = tmp_path_factory.mktemp("shared")
    publish_model(linear_model(2.0), root / "registry")
    with running(root) as gateway:
        yield gateway
