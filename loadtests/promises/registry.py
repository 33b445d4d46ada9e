"""R3, R4 and R5: bad versions, half-copied versions, and a registry that goes away."""

import asyncio
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import cycle, islice
from pathlib import Path

import uvloop

from loadtests.ask import document
from loadtests.gateway import Failed, Gateway, Setup, publish, running, until, wait_traffic, workplace
from loadtests.promises.corruptions import KINDS, make_copy
from loadtests.promises.ground import (
    MODEL,
    errors_of,
    eventually,
    half_of_peak,
    publish_signed,
    signed_target,
    traffic,
)
from loadtests.promises.swaps import LastSeen
from loadtests.promises.verdict import Verdict, at_most, none_of
from loadtests.wire import Address

DROPS = 500
RATE = 200.0
REASON_S = 3.0
"""One look at the registry (1 s) and two seconds more."""
PATIENCE_S = 20.0
COPY_S = 60.0
VANISH_S = 60.0
COPY_STEPS = 20
AFTER_S = 1.0
BEING_CHECKED = "is being copied and checked"
PROBATION_BYTES = 2 * 2**30
AUTO = 'promote = "auto"\n'
"""What arrives gets all traffic as soon as it seems good: a bad version has every chance to do harm."""


def never_bad(scale: float) -> list[Verdict]:
    """R3: drop damaged versions one after the other into a registry whose policy promotes what is good."""
    with _automatic(Setup(workers=2, environment=_limits())) as gateway:
        return uvloop.run(_drop_all(gateway, max(len(KINDS), round(DROPS * scale))))


def _limits() -> dict[str, str]:
    return {"DRIFTGATE__MODELS__PROBATION_MEMORY_BYTES": str(PROBATION_BYTES)}


@contextmanager
def _automatic(setup: Setup) -> Iterator[Gateway]:
    with workplace() as root:
        publish_signed(root, 1)
        (root / "registry" / MODEL / "model.toml").write_text(AUTO)
        with running(root, setup) as gateway:
            wait_traffic(gateway, MODEL)
            yield gateway


async def _drop_all(gateway: Gateway, count: int) -> list[Verdict]:
    seen, slowest, unseen = LastSeen(), (0.0, ""), []
    async with traffic(seen.target(), Address.of(gateway.data), RATE) as flow:
        for number, kind in enumerate(islice(cycle(KINDS), count)):
            took_s = await _drop_one(gateway, kind, 2 + number)
            if took_s is None:
                unseen.append(f"{kind} ({2 + number})")
            else:
                slowest = max(slowest, (took_s, kind))
    served = sorted(version for version in seen.versions if version != 1)
    return [
        none_of(f"of {count} damaged versions of {len(KINDS)} kinds, served: 0", served, count),
        none_of("failed or wrong requests meanwhile: 0", errors_of(flow.run), flow.run.offered),
        none_of(f"without a reason after {PATIENCE_S:g} s: 0", unseen, count),
        at_most(f"drop to its reason, the longest ({slowest[1]}),", slowest[0], REASON_S, "s"),
    ]


async def _drop_one(gateway: Gateway, kind: str, version: int) -> float | None:
    """Drop a damaged version; return how long its reason took to be seen, None if it was never."""
    place = gateway.registry / MODEL / str(version)
    drop = make_copy(gateway.registry / MODEL / "1", gateway.registry / f".drop-{version}", version)
    KINDS[kind](drop)
    began = time.monotonic()
    os.rename(drop.directory, place)
    try:
        while time.monotonic() - began < PATIENCE_S:
            if await _reason(gateway, version):
                return time.monotonic() - began
            await asyncio.sleep(0.05)
        return None
    finally:
        shutil.rmtree(place)


async def _reason(gateway: Gateway, version: int) -> str:
    """Return why a version is not served, "" while nothing is said or it is still being looked at."""
    model = await document(Address.of(gateway.admin), f"/api/models/{MODEL}")
    found = next((one for one in model["versions"] if one["version"] == version), None)
    if found is None or found["state"] != "UNAVAILABLE" or found["reason"] == BEING_CHECKED:
        return ""
    return str(found["reason"])


def never_half(scale: float) -> list[Verdict]:
    """R4: copy a version slowly into its place, the manifest last; nobody may touch it before."""
    with _automatic(Setup(workers=2)) as gateway:
        publish(gateway.root / "elsewhere", "signed", MODEL, 2)
        return uvloop.run(_copy_slowly(gateway, max(3.0, COPY_S * scale)))


async def _copy_slowly(gateway: Gateway, seconds: float) -> list[Verdict]:
    source = gateway.root / "elsewhere" / "registry" / MODEL / "2"
    target = gateway.registry / MODEL / "2"
    seen, touched, looks = LastSeen(), 0, 0
    async with traffic(seen.target(), Address.of(gateway.data), RATE) as flow:
        target.mkdir()
        for _ in _copying(source, target, COPY_STEPS):
            await asyncio.sleep(seconds / COPY_STEPS)
            looks += 1
            touched += await _was_touched(gateway, 2)
        early = seen.at(2)
        shutil.copy(source / "manifest.json", target / "manifest.json")
        took_s = await eventually(lambda: seen.at(2), PATIENCE_S, "the whole version is served")
    return [
        none_of(
            f"{looks} looks in {seconds:g} s of copying that found an attempt to load it: 0", touched, looks
        ),
        none_of("answers of it before its manifest was there: 0", int(early > 0), flow.run.offered),
        none_of("failed or wrong requests meanwhile: 0", errors_of(flow.run), flow.run.offered),
        Verdict("then it is loaded", f"served {took_s:.1f} s after its manifest", True),
    ]


def _copying(source: Path, target: Path, steps: int) -> Iterator[None]:
    """Copy all files but the manifest in so many steps."""
    files = [path for path in sorted(source.iterdir()) if path.name != "manifest.json"]
    whole = b"".join(path.read_bytes() for path in files)
    step = -(-len(whole) // steps)
    for end in range(step, len(whole) + step, step):
        start = 0
        for path in files:
            size = path.stat().st_size
            if end > start:
                (target / path.name).write_bytes(whole[start : min(end, start + size)])
            start += size
        yield


async def _was_touched(gateway: Gateway, version: int) -> bool:
    model = await document(Address.of(gateway.admin), f"/api/models/{MODEL}")
    return any(one["version"] == version for one in model["versions"])


def vanishing(scale: float) -> list[Verdict]:
    """R5: rename, empty and block the registry under load; then start without it."""
    seconds = max(3.0, VANISH_S * scale)
    with _automatic(Setup(workers=2)) as gateway:
        rate = uvloop.run(half_of_peak(gateway))
        verdicts = [
            uvloop.run(_vanish(gateway, f"{name} for {seconds:g} s at {rate:,.0f}/s", away, (rate, seconds)))
            for name, away in (("renamed", _renamed), ("emptied", _emptied), ("unreadable", _unreadable))
        ]
        gateway.stop()
        with _renamed(gateway.registry):
            verdicts.append(_cold_start(gateway.root))
    return verdicts


async def _vanish(
    gateway: Gateway,
    what: str,
    away: Callable[[Path], AbstractContextManager[None]],
    load: tuple[float, float],
) -> Verdict:
    rate, seconds = load
    async with traffic(signed_target(), Address.of(gateway.data), rate) as flow:
        await asyncio.sleep(AFTER_S)
        with away(gateway.registry):
            await asyncio.sleep(seconds)
        await asyncio.sleep(2 * AFTER_S)
    return none_of(f"registry {what}: failed requests: 0", errors_of(flow.run), flow.run.offered)


@contextmanager
def _renamed(registry: Path) -> Iterator[None]:
    away = registry.rename(registry.with_name("away"))
    try:
        yield
    finally:
        if registry.exists():
            shutil.rmtree(registry)
        away.rename(registry)


@contextmanager
def _emptied(registry: Path) -> Iterator[None]:
    aside = registry.with_name("aside")
    aside.mkdir()
    names = [entry.name for entry in registry.iterdir()]
    for name in names:
        (registry / name).rename(aside / name)
    try:
        yield
    finally:
        for name in names:
            (aside / name).rename(registry / name)
        aside.rmdir()


@contextmanager
def _unreadable(registry: Path) -> Iterator[None]:
    """A file stands in its place: permissions would not stop a gateway that runs as root."""
    away = registry.rename(registry.with_name("away"))
    registry.write_text("no directory")
    try:
        yield
    finally:
        registry.unlink()
        away.rename(registry)


def _cold_start(root: Path) -> Verdict:
    with running(root, Setup(workers=2)) as gateway:
        try:
            until(lambda: gateway.model(MODEL).get("traffic"), PATIENCE_S, "the last good state is served")
            return uvloop.run(_ask_once(Address.of(gateway.data)))
        except Failed as error:
            return Verdict("started without the registry it serves the last good state", str(error), False)


async def _ask_once(data: Address) -> Verdict:
    seen = LastSeen()
    async with traffic(seen.target(), data, RATE) as flow:
        await asyncio.sleep(AFTER_S)
    right = not errors_of(flow.run) and flow.run.tally.answered > 0
    figure = f"{flow.run.tally.answered} right answers, versions {sorted(seen.versions)}"
    return Verdict("started without the registry it serves the last good state", figure, right)
