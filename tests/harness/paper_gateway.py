"""A gateway that is only values: a registry, workers that say what they hold, and the newest generation."""

from collections.abc import Callable
from dataclasses import dataclass, field

from msgspec.structs import replace

from driftgate.gateway.control import changes
from driftgate.gateway.control.changes import Subject
from driftgate.gateway.control.decide import Proposal, propose
from driftgate.gateway.control.facts import Facts, Limits, Verified, VersionKey
from driftgate.gateway.errors import GatewayError
from driftgate.gateway.state.desired import DesiredModel, DesiredState
from driftgate.gateway.state.status import SlotStatus, VersionStatus
from driftgate.models.registry.settings import ModelSettings
from driftgate.models.registry.snapshot import PublishedVersion, RegistryModel, RegistrySnapshot

from harness.manifests import paper_manifest

TIMEOUT = 10.0
WORKERS = 2
MEMORY = 8


@dataclass
class Worker:
    """One slot: the generation it has in force and the digests that it has loaded."""

    number: int
    boots: int = 0
    generation: int = 0
    accepting: bool = False
    loaded: set[str] = field(default_factory=set)

    @property
    def boot(self) -> str:
        """New at every start."""
        return f"{self.number}.{self.boots}"


class PaperGateway:
    """One model, and a control process that remembers nothing but generations."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.settings = ModelSettings()
        self.registry: dict[int, str] = {}
        self.readable = True
        self.known: set[str] = set()
        self.bad: set[str] = set()
        self.unloadable: set[tuple[int, str]] = set()
        self.verified: dict[VersionKey, Verified] = {}
        self.failed: dict[VersionKey, str] = {}
        self.workers = [Worker(number) for number in range(WORKERS)]
        self.desired = DesiredState(generation=1, previous="", who="", why="", at="")

    @property
    def model(self) -> DesiredModel | None:
        """The model, once it is known."""
        return self.desired.models.get("m")

    def facts(self) -> Facts:
        """One look at all of it."""
        shown = {
            v: PublishedVersion("m", v, digest, paper_manifest(v)) for v, digest in self.registry.items()
        }
        models = {"m": RegistryModel("m", shown, self.settings)} if shown else {}
        return Facts(
            now=self.now,
            salt="5a",
            registry=RegistrySnapshot(models) if self.readable else None,
            verified=dict(self.verified),
            failed=dict(self.failed),
            slots=tuple(map(self.status, self.workers)),
            limits=Limits(WORKERS, MEMORY, TIMEOUT),
        )

    def status(self, worker: Worker) -> SlotStatus:
        """What a worker says of itself."""
        states = tuple(VersionStatus("m", 0, digest, "READY") for digest in sorted(worker.loaded))
        return SlotStatus(worker.number, worker.boot, 1, worker.generation, worker.accepting, states)

    def commit(self, proposal: Proposal | None) -> None:
        """Write the next generation, and check what must hold at that moment."""
        if proposal is None:
            return
        before, after = self.model, proposal.models.get("m")
        if after and after.split.versions and (before is None or after.split != before.split):
            self.check_new_split(before, after)
        self.desired = replace(
            self.desired,
            generation=self.desired.generation + 1,
            models=dict(proposal.models),
            retired_boots=proposal.retired_boots,
        )

    def check_new_split(self, before: DesiredModel | None, after: DesiredModel) -> None:
        """New weights go to versions that every member holds in the newest generation."""
        held = {version.version: version.digest for version in after.held}
        for worker in self.workers:
            if worker.accepting:
                assert worker.generation == self.desired.generation
                assert {held[version] for version in after.split.versions} <= worker.loaded
        if before and len(after.split.versions) == 1:
            assert after.history[0] in after.split.versions

    def submit(self, request: Callable[[Subject], DesiredModel]) -> None:
        """Commit what an operator asks for, or nothing."""
        facts = self.facts()
        try:
            asked = request(changes.find_subject("m", self.desired, facts, "me"))
        except GatewayError:
            return
        self.commit(propose("m", asked, self.desired, facts))

    def weighted(self) -> set[str]:
        """The digests that have weight in the newest generation."""
        if self.model is None:
            return set()
        return {v.digest for v in self.model.held if v.version in self.model.split.versions}
