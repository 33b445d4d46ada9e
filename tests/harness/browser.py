"""A page of the dashboard in a real browser, and what it said and asked for."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from harness.gateway import until

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page, Request

PHONE, DESK = {"width": 360, "height": 740}, {"width": 1280, "height": 900}
MOST_MS = 25_000


@dataclass
class Opened:
    """A page of the dashboard, and what it said and asked for."""

    page: "Page"
    base: str
    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def go(self, place: str, heading: str) -> None:
        """Open a place of the dashboard and wait for its heading."""
        self.page.goto(f"{self.base}/#/{place}")
        self.page.get_by_role("heading", name=heading, exact=True, level=1).wait_for()

    def wait(self, text: str | re.Pattern[str]) -> None:
        """Wait until a text is on the page."""
        self.page.get_by_text(text).first.wait_for()

    @property
    def model(self) -> "Locator":
        """The link to the model on the first page."""
        models = self.page.get_by_role("region", name="Models")
        return models.get_by_role("link", name="pay", exact=True)

    def is_too_wide(self) -> bool:
        """Whether one has to scroll sideways."""
        return bool(
            self.page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
        )


@contextmanager
def opened(browser: "Browser", base: str, **options: Any) -> Iterator[Opened]:
    """Open a new, empty browser profile; it may ask nobody but this machine."""
    context = browser.new_context(**({"viewport": DESK} | options))
    context.set_default_timeout(MOST_MS)
    page = context.new_page()
    found = Opened(page, base)
    page.on("console", lambda message: found.said.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: found.said.append(f"pageerror: {error}"))
    page.on("request", lambda request: found.asked.append(_host(request)))
    try:
        yield found
    finally:
        context.close()


def _host(request: "Request") -> str:
    url = urlsplit(request.url)
    return url.hostname or url.scheme


def press_until(page: "Page", text: str) -> None:
    """Press Tab until the focus is on a link with this text."""
    for _ in range(80):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent.trim()") == text:
            return
    pytest.fail(f"Tab does not reach {text!r}")


def until_asked_again(it: Opened, asked: int) -> None:
    """Wait for the next round of questions."""
    it.page.wait_for_timeout(100)
    until(lambda: _pumped(it) > asked, 30, "the page asks again")


def _pumped(it: Opened) -> int:
    it.page.wait_for_timeout(50)
    return len(it.asked)
