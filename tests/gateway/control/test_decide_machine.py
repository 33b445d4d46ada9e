"""Decisions under every order of arrivals, losses, reports, requests and restarts that hypothesis finds."""

from collections.abc import Callable
from itertools import pairwise

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from driftgate.gateway.control import changes
from driftgate.gateway.control.changes import Subject
from driftgate.gateway.control.decide import decide
from driftgate.gateway.control.facts import Verified, VersionKey
from driftgate.gateway.control.holding import versions_needed
from driftgate.gateway.control.plan import versions_to_verify
from driftgate.gateway.routing.intervals import owned_by
from driftgate.gateway.state.desired import TOTAL_PPM, Assignment, DesiredModel, KeySource
from driftgate.models.registry.settings import ModelSettings

from harness.manifests import paper_manifest
from harness.paper_gateway import MEMORY, TIMEOUT, WORKERS, PaperGateway, Worker

ENOUGH_STEPS = 200

numbers = st.integers(1, 6)
workers = st.integers(0, WORKERS - 1)


class Gateway(PaperGateway, RuleBasedStateMachine):
    """One model, a registry, two workers and a control process that remembers nothing but generations."""

    @rule(version=numbers, content=st.sampled_from("ab"), good=st.booleans())
    def publish(self, version: int, content: str, good: bool) -> None:
        """A version arrives; a number may come back with other content."""
        digest = f"{version}{content}"
        if digest not in self.known and not good:
            self.bad.add(digest)
        self.known.add(digest)
        self.registry[version] = digest

    @rule(version=numbers)
    def withdraw(self, version: int) -> None:
        """A version is deleted."""
        self.registry.pop(version, None)

    @rule()
    def empty_registry(self) -> None:
        """Everything is deleted."""
        self.registry.clear()

    @rule(readable=st.booleans())
    def mount(self, readable: bool) -> None:
        """The registry becomes unreadable, or readable again."""
        self.readable = readable

    @rule(promote=st.sampled_from(["manual", "auto"]))
    def edit_settings(self, promote: str) -> None:
        """Somebody edits model.toml."""
        self.settings = ModelSettings(promote="auto" if promote == "auto" else "manual")

    @rule()
    def verify(self) -> None:
        """Control checks what it wants to have checked; a bad version fails."""
        for version in versions_to_verify(self.desired, self.facts()):
            key = VersionKey("m", version.version)
            self.verified.pop(key, None)
            self.failed.pop(key, None)
            if version.digest in self.bad:
                self.failed[key] = "bad"
            else:
                self.verified[key] = Verified(version.digest, 1, version.manifest)

    @rule()
    def restart_control(self) -> None:
        """Control is killed between two steps: it knows again what is held, and nothing else."""
        held = self.model.held if self.model else ()
        self.verified = {
            VersionKey("m", v.version): Verified(v.digest, v.size_bytes, paper_manifest(v.version))
            for v in held
        }
        self.failed = {}

    @rule()
    def step(self) -> None:
        """Control decides once."""
        self.commit(decide(self.desired, self.facts()))

    @rule(seconds=st.sampled_from([1.0, TIMEOUT + 1]))
    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.now += seconds

    @rule(seconds=st.sampled_from([-3600.0, 3600.0]))
    def step_clock(self, seconds: float) -> None:
        """The clock is set an hour back or forward."""
        self.now += seconds

    @rule(number=workers)
    def look(self, number: int) -> None:
        """A worker puts the newest generation into force, or dies trying if it lacks what has weight."""
        worker = self.workers[number]
        held = {version.digest for version in self.model.held} if self.model else set()
        worker.loaded &= held
        worker.generation = self.desired.generation
        worker.accepting = worker.accepting and self.weighted() <= worker.loaded

    @rule(number=workers)
    def load(self, number: int) -> None:
        """A worker loads what is held, except what it cannot."""
        worker = self.workers[number]
        if worker.generation == self.desired.generation and self.model:
            worker.loaded |= {v.digest for v in self.model.held if (number, v.digest) not in self.unloadable}

    @rule(number=workers)
    def accept(self, number: int) -> None:
        """A worker accepts once it holds every weighted version of the newest generation."""
        worker = self.workers[number]
        if worker.generation == self.desired.generation and self.weighted() <= worker.loaded:
            worker.accepting = True

    @rule(number=workers)
    def kill(self, number: int) -> None:
        """A worker is killed and starts again with nothing."""
        worker = self.workers[number]
        self.workers[number] = Worker(number, worker.boots + 1)

    @rule(number=workers, version=numbers, content=st.sampled_from("ab"))
    def break_loading(self, number: int, version: int, content: str) -> None:
        """A worker becomes unable to load one version."""
        self.unloadable.add((number, f"{version}{content}"))

    @rule(request=st.sampled_from([changes.rollback, changes.pin, changes.unpin, changes.clear_traffic]))
    def ask(self, request: Callable[[Subject], DesiredModel]) -> None:
        """An operator asks for something without a version."""
        self.submit(request)

    @rule(version=numbers)
    def promote(self, version: int) -> None:
        """An operator promotes a version."""
        self.submit(lambda it: changes.promote(it, version))

    @rule(one=numbers, other=numbers, share=st.integers(1, TOTAL_PPM - 1))
    def split(self, one: int, other: int, share: int) -> None:
        """An operator splits the traffic."""
        if one != other:
            self.submit(lambda it: changes.set_traffic(it, {one: share, other: TOTAL_PPM - share}))

    @rule(parts=st.lists(st.integers(0, TOTAL_PPM), min_size=2, max_size=4, unique=True), force=st.booleans())
    def split_further(self, parts: list[int], force: bool) -> None:
        """An operator splits the traffic among several versions, by another key."""
        edges = [0, *sorted(parts), TOTAL_PPM]
        weights = {version: stop - start for version, (start, stop) in enumerate(pairwise(edges), 1)}
        by_id = Assignment(KeySource("prediction-id"))
        self.submit(lambda it: changes.set_traffic(it, weights, force, by_id))

    @invariant()
    def what_is_needed_is_held(self) -> None:
        """Versions with weight, of the pin and of the last two at 100 % are held."""
        if self.model:
            held = {version.version for version in self.model.held}
            changing = {arm.version for arm in self.model.change.arms} if self.model.change else set()
            assert self.model.split.versions <= held
            assert versions_needed(self.model) - changing <= held

    @invariant()
    def what_is_held_is_good(self) -> None:
        """Nothing that failed its checks is ever held."""
        if self.model:
            assert not {version.digest for version in self.model.held} & self.bad

    @invariant()
    def weights_are_whole(self) -> None:
        """A split is empty or sums to everything."""
        if self.model and self.model.split.arms:
            assert sum(arm.weight_ppm for arm in self.model.split.arms) == TOTAL_PPM

    @invariant()
    def every_bucket_has_one_owner(self) -> None:
        """The intervals of the arms are as long as their weights say, and cover everything once."""
        if self.model and self.model.split.arms:
            owned = owned_by(self.model.split.arms)
            pieces = sorted(piece for intervals in owned.values() for piece in intervals)
            assert [start for start, _ in pieces] == [0, *(stop for _, stop in pieces[:-1])]
            assert pieces[-1][1] == TOTAL_PPM
            for arm in self.model.split.arms:
                assert sum(stop - start for start, stop in owned[arm.version]) == arm.weight_ppm

    @invariant()
    def memory_is_kept(self) -> None:
        """The budget is never exceeded."""
        if self.model:
            assert WORKERS * sum(version.size_bytes for version in self.model.held) <= MEMORY

    @precondition(lambda self: self.readable)
    @rule()
    def converge(self) -> None:
        """Left alone, everything comes to rest: no change runs and no step is left."""
        for _ in range(ENOUGH_STEPS):
            self.verify()
            for worker in self.workers:
                if worker.boot in self.desired.retired_boots:
                    self.kill(worker.number)
                self.look(worker.number)
                self.load(worker.number)
                self.accept(worker.number)
            self.now += 1.0
            proposal = decide(self.desired, self.facts())
            self.commit(proposal)
            if proposal is None and (self.model is None or self.model.change is None):
                return
        raise AssertionError(f"no rest after {ENOUGH_STEPS} steps: {self.model}")


Gateway.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestGateway = Gateway.TestCase
