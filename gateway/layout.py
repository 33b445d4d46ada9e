"""Where everything lies in the state directory."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class StateLayout:
    """Paths below one gateway's state directory."""

    root: Path

    @property
    def lock(self) -> Path:
        """Held by the one supervisor that owns this directory."""
        return self.root / "gateway.lock"

    @property
    def tokens(self) -> Path:
        """The hashes of all access tokens and what their holders may do."""
        return self.root / "tokens.json"

    @property
    def quotas(self) -> Path:
        """How far the quota of each token is used up, shared by all workers."""
        return self.root / "quotas"

    @property
    def desired(self) -> Path:
        """One file per generation."""
        return self.root / "desired"

    @property
    def events(self) -> Path:
        """The journals of control and supervisor."""
        return self.root / "events"

    @property
    def handover(self) -> Path:
        """The socket at which a running gateway hands itself over to its successor."""
        return self.root / "handover.sock"

    @property
    def crashes(self) -> Path:
        """Which versions were running when workers crashed."""
        return self.root / "crashes.json"

    @property
    def cache(self) -> Path:
        """One directory per verified version, named by its digest."""
        return self.root / "cache"

    @property
    def slots(self) -> Path:
        """One directory per slot."""
        return self.root / "slots"

    def slot(self, number: int) -> Path:
        """The directory of one slot."""
        return self.slots / str(number)

    def counters(self, number: int) -> Path:
        """Where slot `number` counts."""
        return self.slot(number) / "counters"

    def refusals(self, number: int) -> Path:
        """Where slot `number` says whom it would have refused."""
        return self.slot(number) / "refusals.json"

    def stacks(self, number: int) -> Path:
        """Where the stacks of slot `number` are written when it hangs."""
        return self.slot(number) / "stack.txt"

    def log(self, number: int) -> Path:
        """Where slot `number` writes its prediction log."""
        return self.slot(number) / "log"

    def log_counts(self, number: int) -> Path:
        """Where slot `number` counts what its log wrote and lost."""
        return self.slot(number) / "log.counts"

    @property
    def log_key(self) -> Path:
        """The secret of the keyed hashes in prediction logs."""
        return self.root / "log.key"

    @property
    def archive(self) -> Path:
        """Parquet files, by model and day."""
        return self.root / "archive"

    @property
    def monitor_db(self) -> Path:
        """How far the logs have been read, and what was found."""
        return self.root / "monitor.db"

    @property
    def monitor_lock(self) -> Path:
        """Held by the one monitor of this directory."""
        return self.root / "monitor.lock"

    @property
    def monitor_status(self) -> Path:
        """How the monitor says it fares."""
        return self.root / "monitor.json"

    @property
    def monitor_windows(self) -> Path:
        """What the monitor says of its windows."""
        return self.root / "monitor-windows.json"

    @property
    def monitor_alerts(self) -> Path:
        """What the monitor says of its alerts."""
        return self.root / "monitor-alerts.json"

    @property
    def alert_requests(self) -> Path:
        """What people ask of alerts."""
        return self.root / "alert-requests.json"

    @property
    def monitor_drift(self) -> Path:
        """What the monitor says of drift."""
        return self.root / "monitor-drift.json"

    @property
    def monitor_beat(self) -> Path:
        """The pulse of the monitor process."""
        return self.root / "monitor.beat"

    @property
    def monitor_stacks(self) -> Path:
        """Where the stacks of the monitor process are written when it hangs."""
        return self.root / "monitor-stack.txt"

    @property
    def control_stacks(self) -> Path:
        """Where the stacks of the control process are written when it hangs."""
        return self.root / "control-stack.txt"

    @property
    def control_status(self) -> Path:
        """What control says of what it sees."""
        return self.root / "control.json"

    @property
    def control_beat(self) -> Path:
        """The pulse of the control process."""
        return self.root / "control.beat"

    @property
    def features(self) -> Path:
        """The embedded feature store: one directory per view."""
        return self.root / "features"

    @property
    def feature_writer_lock(self) -> Path:
        """Held by the one process that writes pushed features."""
        return self.root / "features.lock"

    @property
    def feature_writer_socket(self) -> Path:
        """Where that process takes pushes."""
        return self.root / "features.sock"

    @property
    def feature_writer_beat(self) -> Path:
        """The pulse of that process."""
        return self.root / "features.beat"

    @property
    def feature_writer_stacks(self) -> Path:
        """Where the stacks of that process are written when it hangs."""
        return self.root / "features-stack.txt"

    @property
    def feature_views(self) -> Path:
        """The feature views that the registry declares, as control last read them."""
        return self.root / "feature-views.json"

    def feature_counters(self, number: int) -> Path:
        """Where slot `number` counts what it reads of stored features."""
        return self.slot(number) / "features.counts"
