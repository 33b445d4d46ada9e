"""The dashboard in a real browser, over a real gateway with real traffic."""

import json
import os
import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import httpx
import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

import driftgate
from driftgate.features.views.view import Feature, FeatureView, JoinKey
from driftgate.gateway.state.beat import read_beat

from harness.browser import PHONE, opened, press_until, until_asked_again
from harness.features import declare
from harness.gateway import Gateway, running
from harness.past_windows import write_firing_alert, write_past

if TYPE_CHECKING:
    from playwright.sync_api import Browser

HOSTILE = "<img src=x onerror=alert(1)> &amp; 'age' \"</script>"
TURNED = "se\u202egaminu\u2028x"
MODEL_CARDS = (
    *("Arms", "Traffic split", "Rows and latency", "Features by evidence of drift", "Data quality"),
    *("Open alerts", "Segments and pairs", "Reference and power", "Versions"),
)


@pytest.fixture(scope="module", name="site")
def site_fixture(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway whose model has features with hostile names, an hour of windows, and traffic."""
    root = tmp_path_factory.mktemp("site")
    publish(root)
    profile = (root / "registry" / "pay" / "1" / "profile.json").read_bytes()
    (root / "state").mkdir(mode=0o700)
    write_past(root / "state" / "monitor.db", "pay", profile, 60, drifts=HOSTILE)
    write_firing_alert(root / "state" / "monitor.db", "pay", HOSTILE)
    with running(root) as gateway, traffic(gateway):
        yield gateway


def publish(root: Path) -> None:
    """Publish a model of which one feature has a hostile name and one a hostile value; and a view."""
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({HOSTILE: rng.normal(40, 10, 500), "income": rng.normal(2, 1, 500)})
    frame["city"] = np.where(rng.random(500) < 0.3, HOSTILE + TURNED, "Lyon")
    coded = ColumnTransformer([("city", OneHotEncoder(), ["city"])], remainder="passthrough")
    model = make_pipeline(coded, LinearRegression()).fit(frame, frame["income"] * 2)
    driftgate.publish(model, name="pay", registry=root / "registry", reference=frame)
    feature = Feature("age", "float32", description=HOSTILE, unit=HOSTILE)
    declare(root / "registry", FeatureView("users", (JoinKey("user"),), (feature,), description=HOSTILE))
    toml = f"owner = {json.dumps(HOSTILE)}\ndescription = {json.dumps(TURNED)}\n"
    (root / "registry" / "pay" / "model.toml").write_text(toml)


@contextmanager
def traffic(gateway: Gateway) -> Iterator[None]:
    """Ask the model ten times a second until the block ends."""
    over = threading.Event()
    rng = np.random.default_rng(3)

    def ask() -> None:
        with httpx.Client(timeout=10) as client:
            while not over.wait(0.1):
                row = {HOSTILE: rng.normal(40, 10), "income": rng.normal(2, 1), "city": "Lyon"}
                body = {"rows": [row]}
                client.post(f"{gateway.ports.data}/v2/models/pay/predict", json=body)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def feature_place(name: str = HOSTILE) -> str:
    """Where a feature is shown."""
    return f"models/pay/feature?name={quote(name)}&version=1&arm=stable"


def test_every_page_is_drawn_without_errors(site: Gateway, browser: "Browser") -> None:
    """Each page shows its figures and charts; the browser has nothing to complain of and asks nobody else."""
    with opened(browser, site.ports.admin) as it:
        it.go("", "Overview")
        it.model.wait_for()
        it.wait("workers accept")
        it.go("models/pay", "pay")
        it.page.locator("#chart-latency .main-svg").first.wait_for()
        it.wait("No segment is judged for drift.")
        assert it.page.locator(".card h2").all_inner_texts() == list(MODEL_CARDS)
        it.go(feature_place(), HOSTILE)
        it.page.locator("#chart-mean .main-svg").first.wait_for()
        it.wait(re.compile("PSI without chance"))
        for place, heading in (("catalogue", "Catalogue"), ("alerts", "Alerts"), ("timeline", "Timeline")):
            it.go(place, heading)
            it.page.locator(".card").first.wait_for()
            cards, links = it.page.locator(".card"), it.page.locator(".card > header > a.json")
            assert cards.count() == links.count()
        assert it.said == []
        assert set(it.asked) <= {"127.0.0.1", "data", "blob"}


def test_what_drifts_is_first_and_in_colour(site: Gateway, browser: "Browser") -> None:
    """The feature that drifts leads the strips, which are painted; a click on it shows its cells."""
    with opened(browser, site.ports.admin) as it:
        it.go("models/pay?since=1h", "pay")
        first = it.page.locator(".strip a").first
        first.wait_for()
        assert first.inner_text() == HOSTILE
        painted = (
            "() => { const c = document.querySelector('canvas[data-feature]'); "
            "return c.width > 1 && c.getContext('2d').getImageData(0, 0, c.width, 1).data.some(Boolean); }"
        )
        it.page.wait_for_function(painted)
        first.click()
        it.page.get_by_role("table", name="Shares by cell").wait_for()
        rows = it.page.locator("table.cells tbody tr")
        assert rows.count() >= 16


def test_text_of_others_is_text(site: Gateway, browser: "Browser") -> None:
    """Names, owners, documentation and values never become elements, and cannot turn or break their line."""
    with opened(browser, site.ports.admin) as it:
        it.go("", "Overview")
        it.wait(HOSTILE)
        it.go("models/pay", "pay")
        it.wait("se\\u202egaminu\\u2028x")
        it.go(feature_place(), HOSTILE)
        it.go(feature_place(f"{HOSTILE}{TURNED}"), f"{HOSTILE}se\\u202egaminu\\u2028x")
        it.wait("has no feature of that name")
        it.go(feature_place("city"), "city")
        it.wait(f"=\u00a0{HOSTILE}se\\u202egaminu\\u2028x")
        it.go("catalogue", "Catalogue")
        assert it.page.locator("td", has_text=HOSTILE).count() == 3
        assert it.page.locator("main img, main script").count() == 0
        assert not [line for line in it.said if "404" not in line]


def test_keys_alone_lead_everywhere(site: Gateway, browser: "Browser") -> None:
    """Tab and Enter lead from the first page to a model and on to a feature; focus is seen and stays."""
    with opened(browser, site.ports.admin) as it:
        it.go("", "Overview")
        it.model.wait_for()
        press_until(it.page, "pay")
        outline = it.page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none"
        it.page.keyboard.press("Enter")
        it.page.get_by_role("heading", name="pay", exact=True).wait_for()
        it.page.locator(".strip a").first.wait_for()
        press_until(it.page, "income")
        asked = len(it.asked)
        it.page.wait_for_function("() => document.querySelector('.connection').dataset.state === 'live'")
        until_asked_again(it, asked)
        assert it.page.evaluate("document.activeElement.textContent") == "income"
        it.page.keyboard.press("Enter")
        it.page.get_by_role("heading", name="income", exact=True).wait_for()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_in_light_and_dark(site: Gateway, browser: "Browser", scheme: str) -> None:
    """At 360 pixels no page scrolls sideways, and the ground is as bright as the system asks for."""
    with opened(browser, site.ports.admin, viewport=PHONE, color_scheme=scheme) as it:
        for place, heading in (
            ("", "Overview"),
            ("models/pay", "pay"),
            (feature_place(), HOSTILE),
            ("catalogue", "Catalogue"),
            ("timeline", "Timeline"),
        ):
            it.go(place, heading)
            it.page.locator(".card").first.wait_for()
            assert not it.is_too_wide(), place
        ground = it.page.evaluate("getComputedStyle(document.body).backgroundColor")
        brightness = sum(map(int, re.findall(r"\d+", ground)[:3])) / 3
        assert (brightness > 128) == (scheme == "light")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_stands_in_the_way_of_assistive_tools(site: Gateway, browser: "Browser", scheme: str) -> None:
    """Contrast, names, roles, order of headings and what else a machine can check of accessibility."""
    checker = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="axe is not installed"
    ).Axe()
    with opened(browser, site.ports.admin, color_scheme=scheme) as it:
        for place, heading in (
            ("", "Overview"),
            ("models/pay", "pay"),
            (feature_place(), HOSTILE),
            ("catalogue", "Catalogue"),
            ("alerts", "Alerts"),
            ("timeline", "Timeline"),
        ):
            it.go(place, heading)
            it.page.locator(".card td, .card li").first.wait_for()
            found = checker.run(it.page).response["violations"]
            assert [(one["id"], one["nodes"][0]["html"]) for one in found] == [], place


def test_an_alert_is_acknowledged_and_a_model_silenced(site: Gateway, browser: "Browser") -> None:
    """A reason is asked for; the alert is then acknowledged, and the silence is shown with its reason."""
    with opened(browser, site.ports.admin) as it:
        it.go("alerts", "Alerts")
        alert = it.page.get_by_role("listitem").filter(has_text=f"{HOSTILE} drifts")
        for button, why in (("Acknowledge", "known"), ("Silence…", "moving <b>house</b>")):
            alert.get_by_role("button", name=button).click()
            it.page.get_by_label("Why" if why == "known" else "Reason").fill(why)
            it.page.keyboard.press("Enter")
            it.page.locator("dialog").wait_for(state="detached")
        alert.locator(".pill", has_text="Acknowledged").wait_for()
        it.wait(re.compile(re.escape("moving <b>house</b>")))
        assert it.said == []


def test_it_comes_back_after_control_was_killed(site: Gateway, browser: "Browser") -> None:
    """While nobody answers the page says so and keeps what it knew; then it goes on by itself."""
    with opened(browser, site.ports.admin) as it:
        it.go("", "Overview")
        it.model.wait_for()
        beat = read_beat(site.layout.control_beat)
        assert beat is not None
        os.kill(beat.pid, signal.SIGSTOP)
        it.page.locator('.connection[data-state="reconnecting"]').wait_for()
        os.kill(beat.pid, signal.SIGKILL)
        assert it.model.count() == 1
        it.page.locator('.connection[data-state="live"]').wait_for(timeout=40_000)
