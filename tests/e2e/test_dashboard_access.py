"""The dashboard for everybody: with tokens, with many models, while nobody looks, without a mouse or eyes."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from driftgate.gateway.access.token_store import TokenStore, Wish, utc_now
from driftgate.models.publish.onnx_file import publish_file

from harness.browser import Opened, opened, until_asked_again
from harness.gateway import Gateway, running
from harness.models import linear_model

if TYPE_CHECKING:
    from playwright.sync_api import Browser

IDLE = 500
HIDE = "Object.defineProperty(document, 'hidden', {configurable: true, get: () => %s});"
TURN = HIDE + "document.dispatchEvent(new Event('visibilitychange'))"


@dataclass
class Locked:
    """A gateway that asks everybody for a token."""

    gateway: Gateway

    def make(self, *scopes: str) -> tuple[str, str]:
        """Return the id and the text of a new token."""
        made, text = self._store().create(Wish("t", scopes, None), "t")
        return made.id, text

    def revoke(self, token: str) -> None:
        """Make a token worthless."""
        self._store().revoke(token, "t")

    def _store(self) -> TokenStore:
        return TokenStore(self.gateway.layout.tokens, utc_now)


@pytest.fixture(scope="module", name="locked")
def locked_fixture(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Locked]:
    """A gateway with a model that answers, and many that have no version yet."""
    root = tmp_path_factory.mktemp("locked")
    source = root / "source.onnx"
    source.write_bytes(linear_model(2.0).SerializeToString())
    publish_file(source, name="m", registry=root / "registry")
    for number in range(IDLE):
        write_idle(root / "registry" / f"idle-{number:03}")
    with running(root, environment={"DRIFTGATE__AUTH__MODE": "all"}) as gateway:
        yield Locked(gateway)


def write_idle(directory: Path) -> None:
    """Write a model that has settings and no version."""
    directory.mkdir()
    (directory / "model.toml").write_text(f'owner = "team-{directory.name[-1]}"\n')


def enter(it: Opened, token: str) -> None:
    """Type a token where it is asked for."""
    it.page.get_by_label("Access token").fill(token)
    it.page.keyboard.press("Enter")
    it.page.locator("dialog").wait_for(state="detached")


def models(it: Opened) -> list[str]:
    """The models that the first page shows."""
    return it.page.locator("section[aria-label=Models] td a.strong").all_inner_texts()


def shown(it: Opened, name: str) -> None:
    """Wait until the first page shows a model."""
    it.page.get_by_role("table", name="Models and arms").get_by_role("link", name=name, exact=True).wait_for()


def test_a_token_is_asked_for_and_kept_in_the_tab(locked: Locked, browser: "Browser") -> None:
    """Where tokens are asked for, one that may read is enough; it goes with the tab."""
    _, token = locked.make("read:*")
    with opened(browser, locked.gateway.ports.admin) as it:
        it.page.goto(f"{it.base}/")
        enter(it, token)
        shown(it, "m")
        stored = it.page.evaluate("[Object.values(sessionStorage), localStorage.length, document.cookie]")
        assert stored == [[token], 0, ""]
        it.page.get_by_role("link", name="Models as JSON").click()
        it.page.locator("dialog pre").wait_for()
        assert '"models"' in it.page.locator("dialog pre").inner_text()
        assert token not in it.page.content()


def test_a_narrow_token_shows_its_models(locked: Locked, browser: "Browser") -> None:
    """Who may read one model sees it and no other, on every page."""
    _, token = locked.make("read:m")
    with opened(browser, locked.gateway.ports.admin) as it:
        it.page.goto(f"{it.base}/")
        enter(it, token)
        shown(it, "m")
        assert models(it) == ["m"]
        for place, heading in (("models/m", "m"), ("alerts", "Alerts"), ("timeline", "Timeline")):
            it.go(place, heading)
            it.page.locator(".card").first.wait_for()
            assert it.page.locator(".error").count() == 0
        it.go("models/idle-007", "idle-007")
        it.wait("lacks the scope for this")
        it.page.get_by_role("button", name="Use another token").first.wait_for()


def test_a_token_that_ends_is_said_so_and_replaced(locked: Locked, browser: "Browser") -> None:
    """The page keeps what it knew and says what it needs; with another token it goes on."""
    first, text = locked.make("read:m")
    with opened(browser, locked.gateway.ports.admin) as it:
        it.page.goto(f"{it.base}/")
        enter(it, text)
        shown(it, "m")
        locked.revoke(first)
        it.wait("This token was revoked, has expired, or is of another gateway.")
        it.page.keyboard.press("Escape")
        assert models(it) == ["m"]
        assert it.page.locator(".connection").inner_text() == "access token needed"
        it.page.get_by_role("button", name="Enter token").press("Enter")
        enter(it, locked.make("read:*")[1])
        it.page.locator('.connection[data-state="live"]').wait_for()


def test_one_of_many_models_is_found(locked: Locked, browser: "Browser") -> None:
    """Many models are shown a hundred at a time; typing a part of a name or owner finds the others."""
    _, token = locked.make("read:*")
    with opened(browser, locked.gateway.ports.admin) as it:
        it.page.goto(f"{it.base}/")
        enter(it, token)
        it.wait(f"{IDLE + 1 - 100} more")
        assert len(models(it)) == 100
        it.page.get_by_label("Find a model or owner").fill("IDLE-49 team-7")
        it.page.wait_for_function("document.querySelectorAll('section[aria-label=Models] td a').length === 1")
        assert models(it) == ["idle-497"]
        asked = len(it.asked)
        until_asked_again(it, asked)
        assert it.page.evaluate("document.activeElement.value") == "IDLE-49 team-7"
        it.page.reload()
        shown(it, "idle-497")
        it.page.get_by_label("Find a model or owner").fill("nothing like it")
        it.wait("No model is like this.")


def test_a_page_that_nobody_sees_asks_nothing(locked: Locked, browser: "Browser") -> None:
    """A hidden page pauses and says so; it goes on at once when it is seen again."""
    _, token = locked.make("read:m")
    with opened(browser, locked.gateway.ports.admin) as it:
        it.page.goto(f"{it.base}/")
        enter(it, token)
        shown(it, "m")
        it.page.evaluate(TURN % "true")
        it.page.locator('.connection[data-state="paused"]').wait_for()
        it.page.wait_for_timeout(300)
        asked = len(it.asked)
        it.page.wait_for_timeout(3500)
        assert len(it.asked) == asked
        it.page.evaluate(TURN % "false")
        it.page.locator('.connection[data-state="live"]').wait_for()
        assert len(it.asked) > asked
