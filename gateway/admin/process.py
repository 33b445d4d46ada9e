"""The control process: the control loop and, beside it, the admin API. One per gateway."""

import asyncio
import os
import signal
import sys
import time
import uuid
from functools import partial
from pathlib import Path

import msgspec
import uvloop

from driftgate.gateway.admin.access import AdminAccess
from driftgate.gateway.admin.alerts import AlertsApi, alert_routes
from driftgate.gateway.admin.api import AdminApi, admin_app
from driftgate.gateway.admin.dashboard import DashboardApi, dashboard_routes
from driftgate.gateway.admin.drift import DriftApi, drift_routes
from driftgate.gateway.admin.features import FeaturesApi, feature_routes
from driftgate.gateway.admin.references import ReferencesApi, reference_routes
from driftgate.gateway.admin.settings import SettingsApi, settings_routes
from driftgate.gateway.admin.timeline import TimelineApi, timeline_routes
from driftgate.gateway.admin.tokens import TokenApi, token_routes
from driftgate.gateway.admin.uploads import UploadsApi, upload_routes
from driftgate.gateway.admin.windows import WindowsApi, window_routes
from driftgate.gateway.control.evidence import EvidenceKeeper
from driftgate.gateway.control.facts import Limits
from driftgate.gateway.control.feature_views import FeatureViewWatcher
from driftgate.gateway.control.findings import ObservedRegistry
from driftgate.gateway.control.reconciler import Reconciler
from driftgate.gateway.control.status_report import StatusReport, control_status
from driftgate.gateway.control.surroundings import Clocks, Surroundings
from driftgate.gateway.control.verifier import Verifier
from driftgate.gateway.dashboard.assets import load_assets
from driftgate.gateway.dashboard.pages import Pages, page_routes
from driftgate.gateway.dashboard.traffic_meter import TrafficMeter
from driftgate.gateway.http.connection_limits import ConnectionLimits
from driftgate.gateway.http.listening import QuietServer, bounded, listener, server_config
from driftgate.gateway.layout import StateLayout
from driftgate.gateway.logs import Logger
from driftgate.gateway.processes.cores import available_cores
from driftgate.gateway.processes.event_logger import EventLogger
from driftgate.gateway.processes.feature_store import open_feature_store
from driftgate.gateway.processes.library_logs import LibraryLogs
from driftgate.gateway.processes.spawn import (
    ChildArguments,
    child_arguments,
    die_with_parent,
    dump_stacks_on_signal,
)
from driftgate.gateway.settings import Settings
from driftgate.gateway.state.beat import Beat, BeatState
from driftgate.gateway.state.desired import UnreadableState
from driftgate.gateway.state.generations import GenerationStore
from driftgate.gateway.state.journal import Journal, read_journal
from driftgate.gateway.state.slots import live_slots
from driftgate.gateway.state.status import SlotStatus
from driftgate.models.registry.cache import VersionCache
from driftgate.models.registry.directory import DirectoryRegistry
from driftgate.models.remote.downloads import Downloads
from driftgate.models.remote.uploaded_manifest import UploadLimits
from driftgate.models.remote.uploads import Uploads
from driftgate.models.run.memory import default_budget_bytes
from driftgate.models.run.probation import ProbationLimits, run_probation

GRACE_S = 1


def surroundings(settings: Settings, layout: StateLayout, logger: Logger) -> Surroundings:
    """Return the real world of one gateway: its registry, cache, slots and generations."""
    server, timing = settings.server, settings.timing
    cache = VersionCache(layout.cache)
    limits = ProbationLimits(
        memory_bytes=settings.models.probation_memory_bytes,
        cpu_s=timing.probation_timeout_s,
        wall_s=timing.probation_timeout_s,
        threads=settings.models.threads,
    )
    # A registry object is for one thread at a time: one scans, another is copied from.
    source = DirectoryRegistry(Path(server.registry), server.allow_bare)
    return Surroundings(
        store=GenerationStore(layout.desired),
        registry=ObservedRegistry(
            DirectoryRegistry(Path(server.registry), server.allow_bare),
            logger,
            read_journal(layout.events, "control"),
        ),
        cache=cache,
        verifier=Verifier(source, cache, partial(run_probation, limits=limits), logger),
        slots=partial(present_slots, layout, timing.hung_after_s),
        logger=logger,
        evidence=EvidenceKeeper(layout).look,
    )


def present_slots(layout: StateLayout, stale_after_s: float) -> tuple[SlotStatus, ...]:
    """Return what the live slots say; one whose beat is DRAINING does not accept, whatever it wrote."""
    return tuple(
        msgspec.structs.replace(
            slot.status, accepting=slot.status.accepting and slot.beat.state is not BeatState.DRAINING
        )
        for slot in live_slots(layout, time.monotonic_ns(), stale_after_s)
    )


def limits_of(settings: Settings) -> Limits:
    """Return the bounds that decisions keep, from settings and machine."""
    return Limits(
        workers=settings.server.workers or available_cores(),
        memory_bytes=settings.limits.memory_bytes or default_budget_bytes(),
        prepare_timeout_s=settings.timing.prepare_timeout_s,
    )


def journal_of(layout: StateLayout, logger: EventLogger) -> None:
    """Let `logger` keep lines of note in control's journal, if the disk takes it."""
    try:
        logger.attach(Journal(layout.events, "control"))
    except OSError as error:
        logger.error("state_not_written", reason=error.strerror)


def uploads_of(
    settings: Settings, reconciler: Reconciler, views: FeatureViewWatcher, logger: Logger
) -> UploadsApi:
    """Return the part of the admin API that takes and gives versions of the registry."""
    registry, bounds = Path(settings.server.registry), settings.uploads
    limits = UploadLimits(bounds.max_file_bytes, bounds.max_version_bytes, bounds.max_open, bounds.keep_s)
    look_again = reconciler.registry.rescan
    return UploadsApi(Uploads(registry, limits), Downloads(registry), views, logger, look_again)


def predict_url(settings: Settings) -> str:
    """Return where this machine reaches the data plane."""
    host = settings.server.host
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - a key, not an address
    return (
        f"http://[{reachable}]:{settings.server.port}"
        if ":" in host
        else f"http://{reachable}:{settings.server.port}"
    )


class ControlProcess:
    """Life of the control process: begin the loop, answer the admin API, leave at SIGTERM."""

    def __init__(self, arguments: ChildArguments, layout: StateLayout) -> None:
        settings = arguments.settings
        self._arguments = arguments
        self._logger = EventLogger("control", settings.models.log_format)
        journal_of(layout, self._logger)
        self._beat = Beat.create(layout.control_beat, uuid.uuid4().hex, os.getpid(), time.monotonic_ns())
        world = surroundings(settings, layout, self._logger)
        self._views = FeatureViewWatcher(
            Path(settings.server.registry),
            layout.feature_views,
            open_feature_store(settings.features, layout, self._logger),
            self._logger,
        )
        world.verifier.missing = self._views.missing
        world.store.remove_unfinished()
        world.cache.sweep()
        self._reconciler = Reconciler(
            world, limits_of(settings), settings.timing.registry_poll_s, Clocks(time.time, time.monotonic)
        )
        self._verifier = world.verifier
        self._status = StatusReport(layout.control_status, self._logger)
        self._uploads = uploads_of(settings, self._reconciler, self._views, self._logger)
        self._meter = TrafficMeter(layout, time.monotonic)
        api = AdminApi(self._reconciler, world.cache, self._logger, predict_url(settings))
        registry = Path(settings.server.registry)
        features = FeaturesApi(self._views, registry, layout, self._reconciler, self._logger)
        more = [
            *upload_routes(self._uploads),
            *feature_routes(features),
            *token_routes(TokenApi(layout, self._logger)),
            *timeline_routes(TimelineApi(layout)),
            *window_routes(WindowsApi(self._reconciler, layout)),
            *dashboard_routes(DashboardApi(self._reconciler, layout, self._meter)),
            *reference_routes(ReferencesApi(self._reconciler, layout)),
            *drift_routes(DriftApi(self._reconciler, layout)),
            *alert_routes(AlertsApi(self._reconciler, layout, self._logger)),
            *settings_routes(SettingsApi(self._reconciler, registry, self._logger)),
        ]
        pages = page_routes(Pages(load_assets()))
        app = admin_app(api, AdminAccess.of(settings, layout, self._logger), more, pages)
        limits = ConnectionLimits(settings.limits.receive_timeout_s)  # uploads of models bound themselves
        self._server = QuietServer(server_config(app, GRACE_S, bounded(limits)))

    async def run(self) -> None:
        """Run until SIGTERM or SIGINT."""
        LibraryLogs(self._logger).install()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._server.stop)
        server = self._arguments.settings.server
        sock = listener(self._arguments.listen_fd, server.admin_host, server.admin_port)
        deciding = loop.create_task(self._reconciler.run(self._pulse))
        sweeping = loop.create_task(self._uploads.keep_swept())
        metering = loop.create_task(self._meter.run())
        watching = loop.create_task(self._views.run(self._arguments.settings.timing.registry_poll_s))
        self._beat.state = BeatState.ACCEPTING
        await self._server.serve(sockets=[sock])
        sweeping.cancel()
        metering.cancel()
        watching.cancel()
        await self._reconciler.stop()
        await deciding
        self._beat.state = BeatState.DEAD
        self._logger.close()

    def _pulse(self, generation: int) -> None:
        self._beat.pulse(time.monotonic_ns(), generation, 0, len(self._server.server_state.connections))
        if self._status.is_due(time.monotonic()):
            registry, verifier = self._reconciler.registry, self._verifier
            seen = registry.problem, verifier.verified, verifier.failed
            self._status.write(control_status(self._reconciler.desired, *seen))


def main(argv: list[str] | None = None) -> None:
    """Run the control process until SIGTERM."""
    arguments = child_arguments(argv)
    die_with_parent(arguments.parent_pid)
    layout = StateLayout(Path(arguments.settings.server.state))
    for directory in (layout.desired, layout.cache):
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    dump_stacks_on_signal(layout.root / "control-stack.txt")
    try:
        uvloop.run(_run_and_leave(arguments, layout))
    except UnreadableState as error:
        logger = Logger("control", arguments.settings.models.log_format)
        logger.error("desired_state_unreadable", reason=str(error))
        sys.exit(1)


async def _run_and_leave(arguments: ChildArguments, layout: StateLayout) -> None:
    """Run, then end the process without waiting for threads: one may copy or prove for another minute."""
    await ControlProcess(arguments, layout).run()
    os._exit(0)


if __name__ == "__main__":
    main()
