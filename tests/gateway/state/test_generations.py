"""The sequence of generations: one winner, nothing overwritten, nothing half-written."""

import json
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from hypothesis.strategies import sampled_from

from driftgate.gateway.state.desired import DesiredState, UnreadableState, encode_state
from driftgate.gateway.state.generations import NO_PREDECESSOR, GenerationStore, StaleGeneration


def state(generation: int, previous: str = NO_PREDECESSOR, who: str = "test") -> DesiredState:
    return DesiredState(generation=generation, previous=previous, who=who, why="", at="2026-01-01T00:00:00Z")


def grow(store: GenerationStore, count: int) -> None:
    for generation in range(1, count + 1):
        store.commit(state(generation, store.digest(generation - 1)))


def test_the_newest_generation_is_what_was_committed_last(tmp_path: Path) -> None:
    """`newest` returns the highest generation and exactly the bytes of its file."""
    store = GenerationStore(tmp_path)
    assert store.newest() is None
    grow(store, 11)
    second = state(12, store.digest(11), who="ada")
    store.commit(second)
    assert store.newest() == (second, encode_state(second))
    assert store.read(11).generation == 11
    assert [store.exists(number) for number in (0, 1, 12, 13)] == [False, True, True, False]


def test_a_missing_directory_holds_no_generation(tmp_path: Path) -> None:
    """A worker that starts before control finds nothing and no error."""
    assert GenerationStore(tmp_path / "none").newest() is None


@pytest.mark.parametrize("generation", [0, 1, 2, 4, -1])
def test_only_the_next_number_can_be_committed(tmp_path: Path, generation: int) -> None:
    """A generation that exists or would leave a gap is refused and changes nothing."""
    store = GenerationStore(tmp_path)
    grow(store, 2)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(StaleGeneration):
        store.commit(state(generation, store.digest(2)))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_state_made_from_another_history_is_refused(tmp_path: Path) -> None:
    """A state must name the hash of the generation that it follows."""
    store = GenerationStore(tmp_path)
    grow(store, 2)
    with pytest.raises(StaleGeneration, match="another generation 2"):
        store.commit(state(3, store.digest(1)))


def test_of_many_committers_exactly_one_wins(tmp_path: Path) -> None:
    """In every race for a number one writer wins, and the file is the winner's."""
    store, committers = GenerationStore(tmp_path), 4
    barrier = threading.Barrier(committers)

    def commit(generation: int, previous: str, who: str) -> str | None:
        barrier.wait()
        try:
            GenerationStore(tmp_path).commit(state(generation, previous, who))
        except StaleGeneration:
            return None
        return who

    with ThreadPoolExecutor(committers) as pool:
        for generation in range(1, 31):
            previous = store.digest(generation - 1)
            races = [pool.submit(commit, generation, previous, f"writer {n}") for n in range(committers)]
            winners = [who for race in races if (who := race.result()) is not None]
            assert winners == [store.read(generation).who]
    assert store.verify_chain() == 30
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".json"] * 30


KILLED_AT_EVERY_LINE = """
import json, os, signal, sys
from pathlib import Path
from driftgate.gateway.state import generations
from driftgate.gateway.state.desired import DesiredState

def killed_after(lines, directory):
    def trace(frame, event, argument):
        nonlocal lines
        if frame.f_code.co_filename != generations.__file__:
            return None
        lines -= event == "line"
        if lines < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return trace
    store = generations.GenerationStore(directory)
    following = DesiredState(generation=2, previous=store.digest(1), who="b", why="", at="")
    sys.settrace(trace)
    store.commit(following)
    os._exit(0)

directory, killed, seen = Path(sys.argv[1]), True, []
lines = 0
while killed:
    case = directory / str(lines)
    case.mkdir()
    generations.GenerationStore(case).commit(DesiredState(generation=1, previous="", who="a", why="", at=""))
    child = os.fork()
    if child == 0:
        killed_after(lines, case)
    killed = os.waitpid(child, 0)[1] != 0
    store = generations.GenerationStore(case)
    newest = store.newest_number()
    if newest == 1:
        store.commit(DesiredState(generation=2, previous=store.digest(1), who="c", why="", at=""))
    store.remove_unfinished()
    seen.append([newest, store.verify_chain(), len(list(case.iterdir()))])
    lines += 1
print(json.dumps(seen))
"""


def test_a_kill_at_any_step_leaves_a_readable_state(tmp_path: Path) -> None:
    """Killed after any line of a commit, the store holds the old state or the new one, and goes on."""
    ran = subprocess.run(
        [sys.executable, "-c", KILLED_AT_EVERY_LINE, str(tmp_path)], capture_output=True, check=True
    )
    seen = json.loads(ran.stdout)
    assert len(seen) > 15
    assert {newest for newest, _, _ in seen} == {1, 2}
    assert {(chain, files) for _, chain, files in seen} == {(2, 2)}


@pytest.mark.parametrize("damage", [b"", b"{", b"\0" * 64, encode_state(state(1)), b'{"format": 9}'])
def test_a_damaged_newest_generation_is_never_replaced_by_an_older_one(tmp_path: Path, damage: bytes) -> None:
    """Disk damage stops the reader and names the generation; no older state comes back in silence."""
    store = GenerationStore(tmp_path)
    grow(store, 2)
    (tmp_path / "2.json").write_bytes(damage)
    with pytest.raises(UnreadableState, match="generation 2"):
        store.newest()


@pytest.mark.parametrize("name", ["03.json", "3.json.bak", "-3.json", "3", ".unfinished-3-x", "٣.json"])
def test_other_files_are_no_generations(tmp_path: Path, name: str) -> None:
    """Only plain decimal names without leading zeros count."""
    store = GenerationStore(tmp_path)
    grow(store, 1)
    (tmp_path / name).write_bytes(encode_state(state(3)))
    assert store.newest_number() == 1


def test_an_altered_generation_breaks_the_chain(tmp_path: Path) -> None:
    """`verify_chain` finds a generation that was changed after it was committed."""
    store = GenerationStore(tmp_path)
    grow(store, 3)
    assert store.verify_chain() == 3
    (tmp_path / "2.json").write_bytes(encode_state(state(2, store.digest(1), who="mallory")))
    with pytest.raises(UnreadableState, match="generation 3 does not follow generation 2"):
        store.verify_chain()


class TwoControls(RuleBasedStateMachine):
    """Two control planes on one directory, each acting on what it last read."""

    @initialize()
    def start(self) -> None:
        """Begin with an empty directory."""
        self.temporary = TemporaryDirectory()
        self.store = GenerationStore(Path(self.temporary.name))
        self.seen = {"a": (0, NO_PREDECESSOR), "b": (0, NO_PREDECESSOR)}
        self.expected: list[str] = []

    def teardown(self) -> None:
        """Remove the directory."""
        self.temporary.cleanup()

    @rule(who=sampled_from("ab"))
    def read(self, who: str) -> None:
        """One of them looks again."""
        newest = self.store.newest_number()
        self.seen[who] = (newest, self.store.digest(newest))

    @rule(who=sampled_from("ab"))
    def commit(self, who: str) -> None:
        """One of them commits; it works exactly if it has read what is newest now."""
        generation, previous = self.seen[who]
        current = generation == len(self.expected)
        try:
            self.store.commit(state(generation + 1, previous, who))
        except StaleGeneration:
            assert not current
        else:
            assert current
            self.expected.append(who)

    @invariant()
    def nothing_was_overwritten(self) -> None:
        """Every generation is still its writer's."""
        written = [self.store.read(number + 1).who for number in range(len(self.expected))]
        assert written == self.expected


TestTwoControls = TwoControls.TestCase
TestTwoControls.settings = settings(max_examples=20, stateful_step_count=12, deadline=None)
