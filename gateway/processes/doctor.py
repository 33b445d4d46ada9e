"""Looks an installation over: a state directory, the processes that run on it, and the machine below.

Reads only; a gateway that runs is not disturbed. What is found is judged in `diagnosis`.
"""

import resource
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import httpx

from driftgate import __version__
from driftgate.features.views.declaration import VIEWS_DIRECTORY
from driftgate.gateway.access.auth import auth_mode
from driftgate.gateway.access.token_store import tokens_at_start
from driftgate.gateway.layout import StateLayout
from driftgate.gateway.listeners import CannotStart, is_loopback, read_ports, url_at
from driftgate.gateway.metrics.logs import read_monitor_status
from driftgate.gateway.processes import diagnosis as judge
from driftgate.gateway.processes.diagnosis import Finding
from driftgate.gateway.processes.feature_checkup import feature_server, not_asking
from driftgate.gateway.settings import ServerSettings, Settings
from driftgate.gateway.state.beat import read_beat
from driftgate.gateway.state.desired import UnreadableState
from driftgate.gateway.state.generations import GenerationStore
from driftgate.gateway.state.slots import beat_path, live_slots, read_status, slot_numbers
from driftgate.gateway.state.state_lock import is_claimed
from driftgate.gateway.state.timeline import verify
from driftgate.models.errors import ModelError, RegistryUnavailable
from driftgate.models.registry.cache import VersionCache
from driftgate.models.registry.directory import DirectoryRegistry
from driftgate.monitoring.log.counts import read_log_counts

ANSWER_S = 3.0
SHOWN_VERSIONS = ("driftgate", "onnxruntime", "uvicorn", "httptools", "numpy")


def examine(settings: Settings) -> list[Finding]:
    """Return everything that was found, in the order in which it is worth reading."""
    layout = StateLayout(Path(settings.server.state).absolute())
    found = [packages(), judge.judge_descriptors(resource.getrlimit(resource.RLIMIT_NOFILE)[0])]
    found += [*registry(settings), *feature_server(settings.features)]
    if not layout.root.is_dir():
        text = f"{layout.root} is not there: no gateway has run on it"
        return [
            *found,
            Finding("state", "problem", text, "name the right one with --state, or start a gateway"),
        ]
    found += state(layout, settings)
    if is_claimed(layout):
        found += running(layout, settings)
    else:
        found.append(
            Finding(
                "gateway", "problem", f"none runs on {layout.root}", "driftgate serve, with the same --state"
            )
        )
    return found


def packages() -> Finding:
    """Look for the packages of the server."""
    needed = [
        line for line in requires("driftgate") or () if "extra" not in line or 'extra == "server"' in line
    ]
    names = [line.replace(";", " ").replace(">", " ").replace("=", " ").split()[0] for line in needed]
    installed = {name: _installed(name) for name in (*SHOWN_VERSIONS, *names)}
    return judge.judge_packages(
        [name for name, found in installed.items() if not found],
        {name: installed[name] for name in SHOWN_VERSIONS},
    )


def registry(settings: Settings) -> list[Finding]:
    """Look whether the registry can be read, and what in it cannot."""
    place = _registry_place(settings)
    try:
        snapshot = DirectoryRegistry(place, settings.server.allow_bare).scan()
    except RegistryUnavailable as error:
        advice = "name the right one with --registry; what is loaded goes on being served"
        return [Finding("registry", "problem", str(error), advice)]
    problems = [
        *snapshot.problems,
        *(
            f"{model.name} {number or ''}: {why}".replace(" :", ":")
            for model in snapshot.models.values()
            for number, why in model.problems.items()
        ),
    ]
    if problems:
        return [Finding("registry", "problem", problem, "publish the version again") for problem in problems]
    versions = sum(len(model.versions) for model in snapshot.models.values())
    return [Finding("registry", "ok", f"{len(snapshot.models)} models, {versions} versions in {place}")]


def _registry_place(settings: Settings) -> Path:
    """Return where the versions are; `driftgate serve MODEL.onnx` keeps its own below the state."""
    named, private = Path(settings.server.registry), Path(settings.server.state) / "registry"
    is_private = settings.server.registry == ServerSettings().registry and not named.exists()
    return private if is_private and private.is_dir() else named


def state(layout: StateLayout, settings: Settings) -> list[Finding]:
    """Look at the files of the state directory."""
    usage = shutil.disk_usage(layout.root)
    secrets = [path for path in (layout.root, layout.tokens, layout.log_key, layout.desired) if path.exists()]
    counts: Counter[str] = Counter()
    for number in slot_numbers(layout):
        counts.update(read_log_counts(layout.log_counts(number)))
    newest_us = max((path.stat().st_mtime_ns // 1000 for path in layout.root.iterdir()), default=0)
    return [
        judge.judge_permissions({str(path): path.stat().st_mode for path in secrets}),
        judge.judge_disk(usage.free, usage.total),
        judge.judge_clock(time.time_ns() // 1000, newest_us),
        *history(layout),
        *cache(layout),
        *judge.judge_log(counts, settings.log.enabled),
        access(layout, settings),
    ]


def history(layout: StateLayout) -> Iterator[Finding]:
    """Check every link of the chains of generations and journals."""
    verdict = verify(layout)
    for damage in verdict.damage:
        yield Finding("history", "problem", damage, "driftgate restore brings back the last backup")
    if not verdict.damage:
        text = f"{verdict.generations} generations and the journals, each entry follows the one before"
        yield Finding("history", "ok", text)


def cache(layout: StateLayout) -> Iterator[Finding]:
    """Look whether all that is to be served is in the cache, with files of the right size."""
    store = VersionCache(layout.cache)
    try:
        newest = GenerationStore(layout.desired).newest()
    except UnreadableState:
        return  # the history says so
    held = [item for model in (newest[0].models.values() if newest else ()) for item in model.held]
    bad = 0
    for item in held:
        try:
            store.verify(item.digest)
        except ModelError as error:
            bad += 1
            yield Finding(
                "cache",
                "problem",
                f"{item.digest[:12]}: {error}",
                "it is fetched anew from the registry when needed",
            )
    if not bad:
        yield Finding("cache", "ok", f"{len(held)} versions are what they were when they were verified")


def access(layout: StateLayout, settings: Settings) -> Finding:
    """Look who can reach what."""
    server = settings.server
    hosts = {host: is_loopback(host) for host in (server.host, server.admin_host, server.metrics_host)}
    try:
        tokens = tokens_at_start(layout.tokens)
    except CannotStart as error:
        return Finding("access", "problem", str(error), "no gateway starts on it until then")
    return judge.judge_exposure(hosts, auth_mode(settings), tokens.has_admin)


def running(layout: StateLayout, settings: Settings) -> Iterator[Finding]:
    """Look at the processes of the gateway that runs on this state directory."""
    ports = read_ports(layout.root)
    data, admin, metrics = (ports.data, ports.admin, ports.metrics) if ports else _addresses(settings.server)
    yield judge.judge_version(_answer(data, "/v2").get("version"), __version__)
    if not _answer(admin, "/health"):
        yield Finding("admin", "problem", "the admin API does not answer", "look at the gateway's log")
    if not _answer(metrics, "/health/live"):
        yield Finding("metrics", "problem", "the metrics port does not answer", "look at the gateway's log")
    for number in ports.slots if ports else slot_numbers(layout):
        yield _pulse(f"worker {number}", beat_path(layout, number))
        yield from _not_loaded(layout, number)
        yield from not_asking(layout, number)
    yield _pulse("control", layout.control_beat)
    if settings.has_monitor:
        yield _pulse("monitor", layout.monitor_beat)
        status = read_monitor_status(layout)
        yield from judge.judge_monitor(status, time.time_ns() // 1000) if status else ()
    if (Path(settings.server.registry) / VIEWS_DIRECTORY).is_dir():
        yield _pulse("features", layout.feature_writer_beat)
    newest = GenerationStore(layout.desired).newest_number()
    live = live_slots(layout, time.monotonic_ns(), judge.FRESH_S)
    yield judge.judge_generations({slot.status.slot: slot.status.generation for slot in live}, newest)


def _addresses(server: ServerSettings) -> tuple[str, str, str]:
    """Return where planes that run on their own answer, as they write no `ports.json`."""
    return (
        url_at(server.host, server.port),
        url_at(server.admin_host, server.admin_port),
        url_at(server.metrics_host, server.metrics_port),
    )


def _pulse(name: str, path: Path) -> Finding:
    beat = read_beat(path)
    return judge.judge_beat(
        name, beat, time.monotonic_ns()
    )  # read before the clock: no beat is of the future


def _not_loaded(layout: StateLayout, number: int) -> Iterator[Finding]:
    status = read_status(layout, number)
    for item in status.versions if status else ():
        if item.state == "UNAVAILABLE":
            yield Finding(
                f"worker {number}",
                "problem",
                f"{item.model} {item.version}: {item.reason}",
                f"`driftgate models show {item.model}` tells what control makes of it",
            )


def _answer(url: str, path: str) -> dict[str, str]:
    """Return the JSON object at a path, empty if nobody answers with one."""
    try:
        answer = httpx.get(url + path, timeout=ANSWER_S, trust_env=False)
        return dict(answer.json()) if answer.is_success else {}
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, TypeError):
        return {}


def _installed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
