"""The newest generation as control knows it, and the way to the next one."""

from collections.abc import Callable
from datetime import UTC, datetime

from driftgate.gateway.control.decide import Proposal
from driftgate.gateway.logs import Logger
from driftgate.gateway.state.desired import DesiredState, UnreadableState, state_digest
from driftgate.gateway.state.generations import NO_PREDECESSOR, GenerationStore, StaleGeneration


class Head:
    """The newest generation that was read or written; number 0 before there is one."""

    def __init__(self, store: GenerationStore, logger: Logger) -> None:
        """Read it; raises UnreadableState."""
        self._store = store
        self._logger = logger
        self._digest = NO_PREDECESSOR
        self.state = DesiredState(generation=0, previous=NO_PREDECESSOR, who="", why="", at="")
        self.read()

    def follow(self) -> None:
        """Read what another writer has committed meanwhile, if any did; raises UnreadableState."""
        if self._store.exists(self.state.generation + 1):
            self.read()

    def read(self) -> None:
        """Read the newest generation; raises UnreadableState."""
        found = self._store.newest()
        if found:
            self.state, data = found
            self._digest = state_digest(data)
        elif self.state.generation:
            raise UnreadableState("the generations are gone from the state directory")

    def commit(self, proposal: Proposal, unix_s: float, still_true: Callable[[], bool]) -> bool:
        """Write the next generation, at a time in Unix seconds, and return whether it could be.

        It is not written if another writer was faster, whose generation is read then, nor if at the last
        moment what it was made from is not `still_true`. Raises OSError and UnreadableState.
        """
        state = DesiredState(
            generation=self.state.generation + 1,
            previous=self._digest,
            who=proposal.who,
            why=proposal.why,
            at=datetime.fromtimestamp(unix_s, UTC).isoformat(timespec="milliseconds"),
            models=dict(proposal.models),
            retired_boots=proposal.retired_boots,
        )
        try:
            self._store.commit(state, still_true)
        except StaleGeneration as error:
            self._logger.warning("generation_was_stale", reason=str(error))
            self.read()
            return False
        self.state = state
        self._digest = self._store.digest(state.generation)
        self._logger.info("generation_committed", generation=state.generation, who=state.who, why=state.why)
        return True
