"""The control loop: look at registry, cache and slots, decide, commit; and the same for operators' requests.

The newest generation on disk is the only memory that counts: a loop that was killed anywhere comes to the
same end after its restart. Everything runs on one event loop; scanning, copying and probation run in threads.
"""

import asyncio
import math
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from driftgate.gateway.control.changes import Subject, find_subject
from driftgate.gateway.control.decide import CONTROL, Proposal, decide, propose, settle
from driftgate.gateway.control.evidence import Evidence
from driftgate.gateway.control.facts import Facts, Limits, VersionKey
from driftgate.gateway.control.plan import versions_to_verify, versions_wanted
from driftgate.gateway.control.sweeper import Sweeper
from driftgate.gateway.control.verifier import Verifier
from driftgate.gateway.errors import Conflict, NotFound
from driftgate.gateway.logs import Logger
from driftgate.gateway.repeats import Repeats
from driftgate.gateway.state.desired import DesiredModel, DesiredState, UnreadableState, state_digest
from driftgate.gateway.state.generations import NO_PREDECESSOR, GenerationStore, StaleGeneration
from driftgate.gateway.state.status import SlotStatus
from driftgate.models.cache import VersionCache
from driftgate.models.errors import RegistryUnavailable
from driftgate.models.snapshot import RegistryModel, RegistrySnapshot, RegistrySource

FIRST_PATIENCE_S = 10.0
"""How long the first generation waits for the checks of what the registry holds."""
MOST_STEPS = 1000
ATTEMPTS = 5
QUICK_S = 0.02
CALM_S = 0.1
SALT_BYTES = 16


def no_evidence(desired: DesiredState, slots: tuple[SlotStatus, ...], now: float) -> Evidence:
    """Know nothing against any version."""
    return Evidence()


@dataclass(frozen=True)
class Surroundings:
    """What the loop looks at and writes to. `slots` are the live ones at one look.

    `evidence` is what there is against the versions of a state, at a monotonic time in seconds.
    """

    store: GenerationStore
    registry: RegistrySource
    cache: VersionCache
    verifier: Verifier
    slots: Callable[[], tuple[SlotStatus, ...]]
    logger: Logger
    evidence: Callable[[DesiredState, tuple[SlotStatus, ...], float], Evidence] = no_evidence


@dataclass(frozen=True)
class Clocks:
    """`wall` in Unix seconds, for what is written down; `monotonic` in seconds, for waiting."""

    wall: Callable[[], float]
    monotonic: Callable[[], float]


@dataclass
class Health:
    """What the loop itself went through: shown to operators."""

    failures: int = 0
    last_failure: str = ""
    registry_problem: str = ""
    started_at: float = 0.0


class Reconciler:
    """Brings the desired state to what registry, policy and operators ask for."""

    def __init__(self, world: Surroundings, limits: Limits, poll_s: float, clocks: Clocks) -> None:
        self._world = world
        self._limits = limits
        self._poll_s = poll_s
        self._clocks = clocks
        self._registry: RegistrySnapshot | None = None
        self._scan: asyncio.Task[None] | asyncio.Task[RegistryModel] | None = None
        self._scanned_at = -math.inf
        self._looks_begun = 0
        self._looks_done = 0
        self._wake = asyncio.Event()
        self._stopping = False
        self._digest = NO_PREDECESSOR
        self._desired = DesiredState(generation=0, previous=NO_PREDECESSOR, who="", why="", at="")
        self._sweeper = Sweeper(world.cache, self._digests_needed, self._digests_in_use, world.logger)
        self._failures = Repeats()
        self.health = Health(started_at=clocks.monotonic())
        self._read_newest()
        world.verifier.trust(self._desired)

    @property
    def desired(self) -> DesiredState:
        """The newest generation; number 0 before there is one."""
        return self._desired

    def generation(self, number: int) -> DesiredState:
        """Return an earlier generation; raise NotFound if it is not there or cannot be read."""
        try:
            return self._world.store.read(number)
        except UnreadableState as error:
            raise NotFound(str(error)) from error

    def facts(self) -> Facts:
        """Return one look at the world."""
        slots = self._world.slots()
        return Facts(
            now=self._clocks.wall(),
            salt=secrets.token_hex(SALT_BYTES),
            variant_salt=secrets.token_hex(SALT_BYTES),
            registry=self._registry,
            verified=dict(self._world.verifier.verified),
            failed=self._world.verifier.failed,
            slots=slots,
            limits=self._limits,
            evidence=self._world.evidence(self._desired, slots, self._clocks.monotonic()),
        )

    async def run(self, pulse: Callable[[int], None]) -> None:
        """Step until `stop`, calling `pulse(generation)` before each step; no exception ends it."""
        while not self._stopping:
            try:
                pulse(self._desired.generation)
                self.step()
            except Exception as error:  # the loop's edge: the next step looks at everything anew
                self._note_failure(error)
            await self._pause(QUICK_S if self._is_busy() else CALM_S)

    def step(self) -> None:
        """Look once and commit every step that can be taken now."""
        if self._world.store.exists(self._desired.generation + 1):
            self._read_newest()
        self._scan_when_due()
        facts = self.facts()
        wanted = versions_to_verify(self._desired, facts)
        self._world.verifier.pursue(wanted, self._clocks.monotonic())
        self._world.verifier.doubt(facts.unloadable, self._clocks.monotonic())
        if self._desired.generation == 0:
            self._commit_first(facts, self._looks_done == 0 or self._world.verifier.untried(wanted))
            return
        for _ in range(MOST_STEPS):
            proposal = decide(self._desired, facts)
            if proposal is None or not self._commit(proposal):
                break
            facts = self.facts()
        self._sweeper.sweep_when_changed()

    def submit(
        self,
        model: str,
        who: str,
        request: Callable[[Subject], DesiredModel],
        expected: int | None = None,
        why: str = "",
    ) -> DesiredModel:
        """Commit an operator's request as far as it can be taken now; return the model as it is asked for.

        `why` is the operator's own reason, beside what is done.
        A change that must wait for workers is then part of the newest generation; it may have failed at once.
        Raises what `request` raises, and StaleGeneration if `expected` is not the newest generation.
        """
        for _ in range(ATTEMPTS):
            if expected is not None and expected != self._desired.generation:
                raise StaleGeneration(f"the newest generation is {self._desired.generation}, not {expected}")
            facts = self.facts()
            asked = request(find_subject(model, self._desired, facts, who))
            proposal = propose(model, asked, self._desired, facts)
            if proposal is None or self._commit(_asked_by(who, why, proposal)):
                self._wake.set()
                return asked
        raise Conflict("others change the state all the time; try again")

    async def amend(self, write: Callable[[], RegistryModel]) -> None:
        """Let `write` change a model in the registry while nobody looks at it; it returns what is there then.

        A request submitted right after this, without waiting in between, commits it as the operator's own.
        """
        while self._scan:
            await asyncio.wait([self._scan])
        writing = asyncio.create_task(asyncio.to_thread(write))
        self._scan = writing
        try:
            model = await writing
        finally:
            self._scan = None
        if self._registry:
            self._registry = replace(self._registry, models={**self._registry.models, model.name: model})

    async def stop(self) -> None:
        """Let `run` return and cancel what is under way."""
        self._stopping = True
        self._wake.set()
        self._sweeper.stop()
        if self._scan:
            self._scan.cancel()
        await self._world.verifier.stop()

    def rescan(self) -> int:
        """Look at the registry as soon as possible; return the number of that look."""
        self._scanned_at = -math.inf
        self._wake.set()
        return self._looks_begun + 1

    def retry(self, model: str) -> None:
        """Check every failed version of `model` again at the next step, whatever its back-off."""
        self._world.verifier.retry_now(model)
        self._wake.set()

    @property
    def checking(self) -> frozenset[VersionKey]:
        """The versions that are being copied or proven now."""
        return self._world.verifier.running

    @property
    def looks(self) -> int:
        """The number of the last look at the registry that is done."""
        return self._looks_done

    def _commit_first(self, facts: Facts, unknown: bool) -> None:
        """Commit generation 1 once what the registry holds is checked, or has taken too long for that."""
        waited_s = self._clocks.monotonic() - self.health.started_at
        if unknown and waited_s < FIRST_PATIENCE_S:
            return
        self._commit(settle(self._desired, facts) or Proposal({}, (), CONTROL, "start without models"))

    def _commit(self, proposal: Proposal) -> bool:
        """Write the next generation; return False, with the newer one read, if another writer was faster."""
        state = DesiredState(
            generation=self._desired.generation + 1,
            previous=self._digest,
            who=proposal.who,
            why=proposal.why,
            at=datetime.fromtimestamp(self._clocks.wall(), UTC).isoformat(timespec="milliseconds"),
            models=dict(proposal.models),
            retired_boots=proposal.retired_boots,
        )
        try:
            self._world.store.commit(state)
        except StaleGeneration as error:
            self._world.logger.warning("generation_was_stale", reason=str(error))
            self._read_newest()
            return False
        self._desired = state
        self._digest = self._world.store.digest(state.generation)
        self._world.logger.info(
            "generation_committed", generation=state.generation, who=state.who, why=state.why
        )
        return True

    def _read_newest(self) -> None:
        found = self._world.store.newest()
        if found:
            self._desired, data = found
            self._digest = state_digest(data)
        elif self._desired.generation:
            raise UnreadableState("the generations are gone from the state directory")

    def _scan_when_due(self) -> None:
        now = self._clocks.monotonic()
        if self._scan is None and now - self._scanned_at >= self._poll_s:
            self._scanned_at = now
            self._looks_begun += 1
            self._scan = asyncio.create_task(self._scan_once())

    async def _scan_once(self) -> None:
        try:
            self._registry = await asyncio.to_thread(self._world.registry.scan)
            if self.health.registry_problem:
                self._world.logger.info("registry_available")
            self.health.registry_problem = ""
            self._world.verifier.forget(self._desired.digests | self._digests_wanted(), self._registry)
        except RegistryUnavailable as error:
            self._note_registry(str(error))
        except Exception as error:  # a task's edge: an unreadable registry unloads nothing
            self._note_registry(f"the registry cannot be read ({type(error).__name__})")
        finally:
            self._looks_done, self._scan = self._looks_begun, None
            self._wake.set()

    def _note_failure(self, error: Exception) -> None:
        """Count a failed step; there may be ten a second with the same text."""
        self.health.failures += 1
        if self._failures.is_news(repr(error), self._clocks.monotonic()):
            self._world.logger.error("control_step_failed", error=repr(error))
        self.health.last_failure = repr(error)

    def _note_registry(self, problem: str) -> None:
        self._registry = None
        if problem != self.health.registry_problem:
            self._world.logger.warning("registry_unavailable", reason=problem)
        self.health.registry_problem = problem

    def _digests_wanted(self) -> frozenset[str]:
        return frozenset(version.digest for version in versions_wanted(self._desired, self.facts()))

    def _digests_needed(self) -> frozenset[str]:
        return self._world.verifier.digests | self._desired.digests

    def _digests_in_use(self) -> frozenset[str]:
        return frozenset(version.digest for slot in self._world.slots() for version in slot.versions)

    def _is_busy(self) -> bool:
        changing = any(model.change for model in self._desired.models.values())
        return changing or self._desired.generation == 0 or bool(self._world.verifier.running)

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return
        self._wake.clear()


def _asked_by(who: str, why: str, proposal: Proposal) -> Proposal:
    said = f"{proposal.why}: {why}" if why else proposal.why
    return Proposal(proposal.models, proposal.retired_boots, who, said)
