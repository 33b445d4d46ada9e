"""Process settings: one frozen value from `driftgate.toml`, environment and command line, in rising order.

Environment variables are DRIFTGATE__SECTION__KEY (two underscores), so that what Kubernetes injects for a
service called driftgate (DRIFTGATE_PORT=tcp://…) is no setting. An unknown key is an error.
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import msgspec

from driftgate.monitoring.alerts.alert import Severity
from driftgate.monitoring.drift.budget import parse_budget

ENV_PREFIX = "DRIFTGATE__"
CONFIG_FILE = "driftgate.toml"

Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]
Positive = Annotated[int, msgspec.Meta(ge=1)]
Seconds = Annotated[float, msgspec.Meta(gt=0)]
ReceiverName = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
FALSE_ALARMS = "1 in 4w"


class InvalidConfiguration(Exception):
    """A setting that does not exist or has the wrong type; the text names where it came from."""


class ServerSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Addresses and directories. `workers` 0 is one per physical core that affinity and quota allow."""

    host: str = "127.0.0.1"
    port: Port = 8000
    admin_host: str = "127.0.0.1"
    admin_port: Port = 8090
    metrics_host: str = "127.0.0.1"
    metrics_port: Port = 8002
    workers: Annotated[int, msgspec.Meta(ge=0, le=256)] = 0
    registry: str = "registry"
    state: str = "state"
    allow_bare: bool = False


class LimitSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one request and one worker may ask for; beyond it 413 or 503."""

    max_body_bytes: Positive = 64 * 2**20
    max_json_bytes: Positive = 16 * 2**20
    """Also for strings in binary tensors. The worst of it holds up a worker's loop for about a second."""
    max_rows_per_request: Positive = 100_000
    max_rows_per_worker: Positive = 200_000
    max_deadline_ms: Positive = 30_000
    max_wait_ms: Positive = 40
    """Longest predicted wait for a model, unless few requests wait; beyond it they are refused unread."""
    receive_timeout_s: Seconds = 10.0
    """For a request to come in or an answer to be taken; large ones have it again for every 16 KiB."""
    max_receiving_bytes: Positive = 256 * 2**20
    """Of bodies that are still coming in, in one worker."""
    max_connections: Positive = 4096
    """Of one worker; beyond it others take them or they wait. Fewer where it may not open as many."""
    memory_bytes: Annotated[int, msgspec.Meta(ge=0)] = 0
    """Budget for all workers' models together; 0 means 70 % of this machine's or container's memory."""


class TimingSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Periods and patience, in the unit that the name says."""

    desired_poll_ms: Positive = 50
    registry_poll_s: Seconds = 1.0
    prepare_timeout_s: Seconds = 60.0
    probation_timeout_s: Seconds = 60.0
    hung_after_s: Seconds = 4.0
    stuck_inference_s: Seconds = 4.0
    drain_s: Annotated[float, msgspec.Meta(ge=0)] = 1.0
    grace_s: Seconds = 25.0


class ModelDefaults(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How models are run."""

    threads: Positive = 1
    probation_memory_bytes: Positive = 8 * 2**30
    log_format: Literal["json", "text"] = "json"


class LogSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The prediction log of each slot, and the archive of all.

    `mode` says what an answer waits for: nothing, its write, or the disk. `when_full` says what happens when
    buffer, quota or disk is full: records are dropped and counted, or requests refused.
    """

    enabled: bool = True
    mode: Literal["async", "written", "fsync"] = "async"
    when_full: Literal["drop", "refuse"] = "drop"
    quota_bytes: Positive = 8 * 2**30
    segment_bytes: Positive = 64 * 2**20
    buffer_rows: Positive = 200_000
    buffer_bytes: Annotated[int, msgspec.Meta(ge=2**20, le=2**30)] = 256 * 2**20
    archive_every_s: Seconds = 10.0
    local_days: Positive = 7
    archive_days: Positive = 30
    index_days: Positive = 120


class MonitorSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the monitor cuts time: windows of `window_s` seconds, of which there are whole ones in an hour.

    After `minute_days` those of an hour are merged, and after `window_days` they are deleted. Budgets of
    false alarms are in time, so they mean the same for windows of any length. Without `enabled`, `serve`
    starts none: logs wait for a monitor that is started on its own, until their quota is full.
    """

    enabled: bool = True
    window_s: Annotated[int, msgspec.Meta(ge=1, le=3600)] = 60
    minute_days: Positive = 7
    window_days: Positive = 35

    def __post_init__(self) -> None:
        if 3600 % self.window_s:
            raise ValueError(
                f"window_s must divide an hour, and {self.window_s} s do not: take 30, 60 or 300"
            )


class AuthSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who has to show a token.

    `auto` is `off` while every listener is on loopback, else `control`. `report_only` lets predictions in
    without one in mode `all`, and lists who would have been refused.
    """

    mode: Literal["auto", "off", "control", "all"] = "auto"
    report_only: bool = False


class UploadSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What versions that are published over the network may take; an upload nobody goes on with is swept."""

    max_file_bytes: Positive = 8 * 2**30
    max_version_bytes: Positive = 16 * 2**30
    max_open: Positive = 16
    keep_s: Seconds = 86_400.0


class FeatureSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where stored features are read: the embedded store below the state directory, or Redis or Valkey.

    `redis_layout` "feast" reads what a Feast deployment of the project `feast_project` has written. Rows read
    from Redis are remembered for `cache_ttl_s`, in at most `cache_bytes` of each worker. What is pushed into
    the embedded store is kept for training sets for `push_history_days` (0: not at all), in at most
    `push_history_bytes` for each view. A view is compacted once no snapshot has `compact_rows` of its pushed
    rows (0: never).
    """

    store: Literal["embedded", "redis"] = "embedded"
    redis_url: str = ""
    redis_password_file: str = ""
    redis_layout: Literal["driftgate", "feast"] = "driftgate"
    feast_project: str = ""
    cache_ttl_s: Seconds = 1.0
    cache_bytes: Positive = 64 * 2**20
    max_entities_per_request: Positive = 10_000
    push_history_days: Annotated[float, msgspec.Meta(ge=0)] = 90.0
    push_history_bytes: Positive = 10 * 2**30
    compact_rows: Annotated[int, msgspec.Meta(ge=0)] = 100_000


class ReceiverSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Who is told of which alerts, and how: by a webhook, or by a command that reads the alert.

    `models` are patterns such as "fraud*"; no `owners` are all. A URL that is itself a secret is in
    `webhook_file`; `secret_file` holds what webhooks are signed with, `ca_file` whose certificates are
    trusted. `false_alarms`: its budget for drift.
    """

    webhook: str = ""
    webhook_file: str = ""
    secret_file: str = ""
    allow_private: bool = False
    ca_file: str = ""
    command: tuple[str, ...] = ()
    models: tuple[str, ...] = ("*",)
    owners: tuple[str, ...] = ()
    severities: tuple[Severity, ...] = (Severity.PAGE, Severity.TICKET)
    false_alarms: str = FALSE_ALARMS

    def __post_init__(self) -> None:
        ways = [name for name in ("webhook", "webhook_file", "command") if getattr(self, name)]
        if len(ways) != 1:
            raise ValueError("a receiver has one of webhook, webhook_file and command")
        if ways != ["command"] and not self.secret_file:
            raise ValueError("a webhook needs a secret_file: with its content notifications are signed")
        parse_budget(self.false_alarms)


class AlertSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who is told of alerts. `false_alarms` is the budget of models whose alerts no receiver takes."""

    false_alarms: str = FALSE_ALARMS
    receivers: dict[ReceiverName, ReceiverSettings] = {}

    def __post_init__(self) -> None:
        parse_budget(self.false_alarms)


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All process settings."""

    server: ServerSettings = ServerSettings()
    limits: LimitSettings = LimitSettings()
    timing: TimingSettings = TimingSettings()
    models: ModelDefaults = ModelDefaults()
    log: LogSettings = LogSettings()
    monitor: MonitorSettings = MonitorSettings()
    auth: AuthSettings = AuthSettings()
    uploads: UploadSettings = UploadSettings()
    features: FeatureSettings = FeatureSettings()
    alerts: AlertSettings = AlertSettings()

    @property
    def has_monitor(self) -> bool:
        """Whether a monitor is started beside the workers."""
        return self.log.enabled and self.monitor.enabled


def load_settings(
    config: Path | None, environment: Mapping[str, str], overrides: Mapping[str, Mapping[str, Any]]
) -> Settings:
    """Return the settings from a file (None: `driftgate.toml` here, if any), environment and command line.

    Raises InvalidConfiguration naming the source of the bad value.
    """
    path = config or Path(CONFIG_FILE)
    document: dict[str, dict[str, Any]] = {}
    if config is not None or path.exists():
        _merge(document, _from_file(path), str(path))
    _merge(document, _from_environment(environment), "the environment")
    given = {s: {k: v for k, v in keys.items() if v is not None} for s, keys in overrides.items()}
    return _merge(document, given, "the command line")


def _from_file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text())
    except OSError as error:
        raise InvalidConfiguration(f"{path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidConfiguration(f"{path}: {error}") from error


def _from_environment(environment: Mapping[str, str]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for name, value in environment.items():
        if name.startswith(ENV_PREFIX):
            section, _, key = name.removeprefix(ENV_PREFIX).lower().partition("__")
            found.setdefault(section, {})[key] = value
    return found


def _merge(into: dict[str, dict[str, Any]], new: Mapping[str, Any], source: str) -> Settings:
    for section, keys in new.items():
        if not isinstance(keys, Mapping):
            raise InvalidConfiguration(f"{source}: {section!r} must be a section such as [server]")
        into.setdefault(section, {}).update(keys)
    return _convert(into, source)


def _convert(document: dict[str, dict[str, Any]], source: str) -> Settings:
    try:
        return msgspec.convert(document, Settings, strict=False)
    except msgspec.ValidationError as error:
        problem, _, setting = str(error).partition(" - at `$.")
        setting = setting.rstrip("`")
        where = f"{source}, {setting}" if setting else source
        if problem.startswith("Invalid enum value"):
            problem += f": use one of {', '.join(_choices(setting))}"
        raise InvalidConfiguration(f"{where}: {problem}") from error


def _choices(setting: str) -> tuple[str, ...]:
    if "[" in setting:  # the only choice of a receiver
        return tuple(Severity)
    kind: Any = Settings
    for name in setting.split("."):
        kind = next(field.type for field in msgspec.structs.fields(kind) if field.name == name)
    return get_args(kind)
