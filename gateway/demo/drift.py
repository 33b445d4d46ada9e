"""The demo's drift: a weather feed changes its unit, and the gateway says which feature and since when."""

import time
from collections.abc import Callable
from typing import Any

import msgspec
from rich.console import Console

from driftgate.gateway.demo.children import child, last_lines
from driftgate.gateway.demo.server import GatewayFailed, Server
from driftgate.gateway.demo.workplace import Workplace

MODEL, FEATURE = "flight_delay", "temp"
LEARN_S = 15.0
"""Of steady traffic, of which the reference is made: a few hundred rows."""
FOUND_WITHIN_S = 60.0
REFERENCE_WITHIN_S = 30.0
SHORTEST_REFERENCE_US = 60_000_000


class DriftSeen(msgspec.Struct, frozen=True):
    """What was seen of the drift: the features that were named, and how many seconds after the shift.

    `onset_after_s` is when the gateway says that it began, after the shift. None: it was not found.
    """

    shifted: str
    named: tuple[str, ...] = ()
    found_after_s: float | None = None
    onset_after_s: float | None = None
    evidence: float | None = None


def show_drift(place: Workplace, server: Server, version: int, console: Console) -> DriftSeen:
    """Make a reference of steady traffic, arm the version, change the feed, and wait until it is found.

    Traffic must flow meanwhile.
    """
    console.print(f"{MODEL}: {LEARN_S:.0f} s of steady traffic become the reference, and drift is armed")
    first_us = _now_us()
    time.sleep(LEARN_S)
    _learn(server, version, first_us)
    path = f"/api/models/{MODEL}/drift"
    server.admin("POST", f"{path}/arm", {"version": version, "hours": False, "why": "the demo"})
    _wait(server, lambda figure: figure["watch"] == "armed" and bool(figure["streams"]), REFERENCE_WITHIN_S)
    console.print(f"the weather feed reports {FEATURE} in degrees Celsius from now on")
    _change_feed(place)
    shifted_us = _now_us()
    found = _wait(server, lambda figure: FEATURE in figure["drift"]["names"], FOUND_WITHIN_S)
    if found is None:
        return DriftSeen(FEATURE)
    drift = found["drift"]
    return DriftSeen(
        shifted=FEATURE,
        named=tuple(drift["names"]),
        found_after_s=round((_now_us() - shifted_us) / 1e6, 1),
        onset_after_s=round((drift["onset_us"] - shifted_us) / 1e6, 1),
        evidence=found["log10_evidence"],
    )


def problems_of(seen: DriftSeen) -> list[str]:
    """Return what was not as it should be."""
    if seen.found_after_s is None:
        return [f"{MODEL}: the drift of {seen.shifted} was not found within {FOUND_WITHIN_S:.0f} s"]
    return []


def _learn(server: Server, version: int, first_us: int) -> None:
    now_us = _now_us()
    window = {"version": version, "first_us": min(first_us, now_us - SHORTEST_REFERENCE_US), "end_us": now_us}
    before = _figure(server)
    server.admin("POST", f"/api/models/{MODEL}/references", window)
    old = before["reference_id"] if before else ""
    if _wait(server, lambda figure: figure["reference_id"] != old, REFERENCE_WITHIN_S) is None:
        raise GatewayFailed(f"no reference was made of traffic:\n{last_lines(server.log)}")


def _change_feed(place: Workplace) -> None:
    log = place.log("feed")
    with child(["driftgate.gateway.demo.feed", "--features", str(place.features)], log) as feed:
        if feed.wait() != 0:
            raise GatewayFailed(f"the weather could not be loaded:\n{last_lines(log)}")


def _wait(server: Server, done: Callable[[dict[str, Any]], bool], within_s: float) -> dict[str, Any] | None:
    """Return what is said of the newest version as soon as something holds, None if it does not in time."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        figure = _figure(server)
        if figure is not None and done(figure):
            return figure
        time.sleep(0.2)
    return None


def _figure(server: Server) -> dict[str, Any] | None:
    versions = server.admin("GET", f"/api/models/{MODEL}/drift")["versions"]
    return dict(versions[0]["figure"]) if versions else None


def _now_us() -> int:
    return time.time_ns() // 1000
