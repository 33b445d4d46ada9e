"""The sequence of desired states on disk: one file per generation, created once and never written again.

A generation comes into being by a `link()` that fails where the name is taken, so of two writers exactly
one wins and a stale one can overwrite nothing. The files are the audit trail: each names the hash of the
one before.
"""

import os
import re
import secrets
from collections.abc import Callable
from pathlib import Path

from driftgate.gateway.state.desired import (
    DesiredState,
    UnreadableState,
    decode_state,
    encode_state,
    state_digest,
)
from driftgate.models.storage.durable import sync, write_synced

NO_PREDECESSOR = ""
_NAME = re.compile(r"([1-9][0-9]{0,17})\.json")
_UNFINISHED = ".unfinished-"


class StaleGeneration(Exception):
    """Another writer was faster, or the state does not follow the newest one; read again and decide again."""


class GenerationStore:
    """Reads and extends the generations in one directory. Holds no state of its own."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._prefix = f"{directory}{os.sep}"

    def commit(self, state: DesiredState, still_true: Callable[[], bool] = lambda: True) -> None:
        """Make `state` the newest generation, durably, or raise StaleGeneration and change nothing.

        `still_true` is asked at the last moment, after everything that takes time, whether what the state was
        made from still is so.
        """
        self._check_follows(state)
        unfinished = self._directory / f"{_UNFINISHED}{state.generation}-{secrets.token_hex(8)}"
        try:
            write_synced(unfinished, encode_state(state))
            if not still_true():
                raise StaleGeneration(f"generation {state.generation} was made from what is so no more")
            os.link(unfinished, self._path(state.generation))
        except FileExistsError as error:
            raise StaleGeneration(f"generation {state.generation} exists already") from error
        finally:
            unfinished.unlink(missing_ok=True)
        sync(self._directory)

    def newest(self) -> tuple[DesiredState, bytes] | None:
        """Return the newest generation and its bytes, or None before the first.

        Raises UnreadableState if that file is damaged. An older one is never returned in its place: it was
        durable before anybody could see it, so damage means a broken disk, and going back to an older split
        in silence would be worse than stopping.
        """
        generation = self.newest_number()
        return self._load(generation) if generation else None

    def newest_number(self) -> int:
        """Return the number of the newest generation, 0 before the first; lists the directory."""
        try:
            names = os.listdir(self._directory)
        except FileNotFoundError:
            return 0
        return max((int(found[1]) for name in names if (found := _NAME.fullmatch(name))), default=0)

    def exists(self, generation: int) -> bool:
        """Tell whether `generation` has been committed; one `stat`."""
        return os.path.exists(f"{self._prefix}{generation}.json")

    def read(self, generation: int) -> DesiredState:
        """Return one generation; raise UnreadableState if it is missing or damaged."""
        return self._load(generation)[0]

    def digest(self, generation: int) -> str:
        """Return what the successor of `generation` must name as `previous`."""
        return state_digest(self._read_bytes(generation)) if generation else NO_PREDECESSOR

    def verify_chain(self) -> int:
        """Check every generation and every link between them and return how many there are.

        Raises UnreadableState naming the first one that is damaged, missing or altered.
        """
        newest, previous = self.newest_number(), NO_PREDECESSOR
        for generation in range(1, newest + 1):
            state, data = self._load(generation)
            if state.previous != previous:
                raise UnreadableState(
                    f"generation {generation} does not follow generation {generation - 1} as it is now: "
                    "one of the two files was altered"
                )
            previous = state_digest(data)
        return newest

    def remove_unfinished(self) -> None:
        """Delete what commits that were killed left behind; only while no other process commits."""
        for path in self._directory.glob(f"{_UNFINISHED}*"):
            path.unlink(missing_ok=True)

    def _path(self, generation: int) -> Path:
        return self._directory / f"{generation}.json"

    def _check_follows(self, state: DesiredState) -> None:
        before = state.generation - 1
        if before < 0 or (before and not self.exists(before)):
            raise StaleGeneration(f"generation {state.generation} has no predecessor")
        if state.previous != self.digest(before):
            raise StaleGeneration(f"generation {state.generation} was made from another generation {before}")

    def _load(self, generation: int) -> tuple[DesiredState, bytes]:
        data = self._read_bytes(generation)
        try:
            state = decode_state(data)
        except UnreadableState as error:
            raise UnreadableState(f"generation {generation}: {error}") from error
        if state.generation != generation:
            raise UnreadableState(f"generation {generation}: the file holds generation {state.generation}")
        return state, data

    def _read_bytes(self, generation: int) -> bytes:
        try:
            return self._path(generation).read_bytes()
        except FileNotFoundError as error:
            raise UnreadableState(f"there is no generation {generation}") from error
        except OSError as error:
            raise UnreadableState(f"generation {generation}: {error.strerror}") from error
