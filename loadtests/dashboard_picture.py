"""The picture of the dashboard in the documentation: the demo's model, right after its drift was found.

Run with `python -m loadtests.dashboard_picture` where Chromium is installed; it runs the demo and writes
`docs/dashboard.png`. Ends with 1 if the picture is too large for a README.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import FloatRect, sync_playwright

PICTURE = Path(__file__).parents[1] / "docs" / "dashboard.png"
PLACE = "models/flight_delay?since=1h"
MOST_BYTES = 200_000
WIDTH, MARGIN = 1280, 14
LAST_CARD = "Features by evidence of drift"
FEATURE = "temp"
"""What drifts in the demo: its strip comes first as soon as it has evidence."""
SORTED_WITHIN_MS = 60_000.0
STOP_WITHIN_S = 60.0


def main() -> int:
    """Write the picture; return 1 if it is too large."""
    words = [sys.executable, "-m", "driftgate.gateway.cli.main", "demo"]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as demo:
        try:
            shoot(admin_url(demo))
        finally:
            demo.send_signal(signal.SIGINT)
            demo.wait(STOP_WITHIN_S)
    print(f"{PICTURE}: {PICTURE.stat().st_size / 1000:.0f} kB (at most {MOST_BYTES / 1000:.0f})")
    return int(PICTURE.stat().st_size > MOST_BYTES)


def admin_url(demo: "subprocess.Popen[str]") -> str:
    """Wait until the demo has shown everything; return where its dashboard is."""
    found = ""
    for line in demo.stderr or ():
        known = re.search(r"admin API\s+(http://[^/]+)/", line)
        found = known[1] if known else found
        if "The gateway is running" in line:
            return found
    raise SystemExit("the demo ended before it had shown everything")


def shoot(base: str) -> None:
    """Take the picture: from the top of the model's page to the end of its strips of evidence."""
    with sync_playwright() as run:
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = run.chromium.launch(executable_path=shutil.which("chromium"), args=arguments)
        page = browser.new_page(viewport={"width": WIDTH, "height": 900}, color_scheme="light")
        page.goto(f"{base}/#/{PLACE}")
        card = page.get_by_role("region", name=LAST_CARD)
        card.locator(".strip").first.filter(has_text=FEATURE).wait_for(timeout=SORTED_WITHIN_MS)
        page.locator("#chart-latency .main-svg").first.wait_for()
        end = float(card.evaluate("card => card.getBoundingClientRect().bottom + scrollY"))
        clip: FloatRect = {"x": 0, "y": 0, "width": WIDTH, "height": end + MARGIN}
        page.screenshot(path=PICTURE, full_page=True, clip=clip)
        browser.close()


if __name__ == "__main__":
    sys.exit(main())
