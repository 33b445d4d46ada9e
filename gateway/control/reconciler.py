"""The control loop: look at registry, cache and slots, decide, commit; and the same for operators' requests.

The newest generation on disk is the only memory that counts: a loop that was killed anywhere comes to the
same end after its restart. Everything runs on one event loop; scanning, copying and probation run in threads.
"""

import asyncio
import secrets
from collections.abc import Callable

from driftgate.gateway.control.changes import Subject, find_subject
from driftgate.gateway.control.decide import CONTROL, Proposal, decide, propose, settle
from driftgate.gateway.control.facts import Facts, Limits, VersionKey
from driftgate.gateway.control.head import Head
from driftgate.gateway.control.plan import versions_to_verify, versions_wanted
from driftgate.gateway.control.registry_watch import RegistryWatch
from driftgate.gateway.control.surroundings import Clocks, Health, Surroundings
from driftgate.gateway.control.sweeper import Sweeper
from driftgate.gateway.errors import Conflict, NotFound
from driftgate.gateway.repeats import Repeats
from driftgate.gateway.state.desired import DesiredModel, DesiredState, UnreadableState
from driftgate.gateway.state.generations import StaleGeneration
from driftgate.models.registry.snapshot import RegistrySnapshot

FIRST_PATIENCE_S = 10.0
"""How long the first generation waits for the checks of what the registry holds."""
MOST_STEPS = 1000
ATTEMPTS = 5
QUICK_S = 0.02
CALM_S = 0.1
SALT_BYTES = 16


class Reconciler:
    """Brings the desired state to what registry, policy and operators ask for. `registry` is its watch."""

    def __init__(self, world: Surroundings, limits: Limits, poll_s: float, clocks: Clocks) -> None:
        self._world = world
        self._limits = limits
        self._clocks = clocks
        self._wake = asyncio.Event()
        self._stopping = False
        self._head = Head(world.store, world.logger)
        self._sweeper = Sweeper(world.cache, self._digests_needed, self._digests_in_use, world.logger)
        self._failures = Repeats()
        self._started_at = clocks.monotonic()
        self.health = Health()
        self.registry = RegistryWatch(world.registry, poll_s, self._wake, world.logger)
        self.registry.on_seen = self._forget_unwanted
        world.verifier.trust(self.desired)

    @property
    def desired(self) -> DesiredState:
        """The newest generation; number 0 before there is one."""
        return self._head.state

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
            registry=self.registry.snapshot,
            verified=dict(self._world.verifier.verified),
            failed=self._world.verifier.failed,
            slots=slots,
            limits=self._limits,
            evidence=self._world.evidence(self.desired, slots, self._clocks.monotonic()),
        )

    async def run(self, pulse: Callable[[int], None]) -> None:
        """Step until `stop`, calling `pulse(generation)` before each step; no exception ends it."""
        while not self._stopping:
            try:
                pulse(self.desired.generation)
                self.step()
            except Exception as error:  # the loop's edge: the next step looks at everything anew
                self._note_failure(error)
            await self._pause(QUICK_S if self._is_busy() else CALM_S)

    def step(self) -> None:
        """Look once and commit every step that can be taken now."""
        self._head.follow()
        self.registry.look_when_due(self._clocks.monotonic())
        facts = self.facts()
        wanted = versions_to_verify(self.desired, facts)
        self._world.verifier.pursue(wanted, self._clocks.monotonic())
        self._world.verifier.doubt(facts.unloadable, self._clocks.monotonic())
        if self.desired.generation == 0:
            self._commit_first(facts, self.registry.looks == 0 or self._world.verifier.untried(wanted))
            return
        for _ in range(MOST_STEPS):
            proposal = decide(self.desired, facts)
            if proposal is None or not self._commit(proposal, facts):
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
            if expected is not None and expected != self.desired.generation:
                raise StaleGeneration(f"the newest generation is {self.desired.generation}, not {expected}")
            facts = self.facts()
            asked = request(find_subject(model, self.desired, facts, who))
            proposal = propose(model, asked, self.desired, facts)
            if proposal is None or self._commit(_asked_by(who, why, proposal), facts):
                self._wake.set()
                return asked
        raise Conflict("others change the state all the time; try again")

    async def stop(self) -> None:
        """Let `run` return and cancel what is under way."""
        self._stopping = True
        self._wake.set()
        self._sweeper.stop()
        self.registry.stop()
        await self._world.verifier.stop()

    def retry(self, model: str) -> None:
        """Check every failed version of `model` again at the next step, whatever its back-off."""
        self._world.verifier.retry_now(model)
        self._wake.set()

    @property
    def checking(self) -> frozenset[VersionKey]:
        """The versions that are being copied or proven now."""
        return self._world.verifier.running

    def _commit_first(self, facts: Facts, unknown: bool) -> None:
        """Commit generation 1 once what the registry holds is checked, or has taken too long for that."""
        waited_s = self._clocks.monotonic() - self._started_at
        if unknown and waited_s < FIRST_PATIENCE_S:
            return
        self._commit(settle(self.desired, facts) or Proposal({}, (), CONTROL, "start without models"), facts)

    def _commit(self, proposal: Proposal, facts: Facts) -> bool:
        """Write the next generation, unless somebody else did or a worker joined whom nobody asked."""
        asked = {slot.boot for slot in facts.members}

        def nobody_joined() -> bool:
            return all(slot.boot in asked for slot in self._world.slots() if slot.accepting)

        return self._head.commit(proposal, self._clocks.wall(), nobody_joined)

    def _forget_unwanted(self, snapshot: RegistrySnapshot) -> None:
        wanted = frozenset(version.digest for version in versions_wanted(self.desired, self.facts()))
        self._world.verifier.forget(self.desired.digests | wanted, snapshot)

    def _note_failure(self, error: Exception) -> None:
        """Count a failed step; there may be ten a second with the same text."""
        self.health.failures += 1
        if self._failures.is_news(repr(error), self._clocks.monotonic()):
            self._world.logger.error("control_step_failed", error=repr(error))
        self.health.last_failure = repr(error)

    def _digests_needed(self) -> frozenset[str]:
        return self._world.verifier.digests | self.desired.digests

    def _digests_in_use(self) -> frozenset[str]:
        return frozenset(version.digest for slot in self._world.slots() for version in slot.versions)

    def _is_busy(self) -> bool:
        changing = any(model.change for model in self.desired.models.values())
        return changing or self.desired.generation == 0 or bool(self._world.verifier.running)

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
