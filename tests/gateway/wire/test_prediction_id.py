"""Prediction ids: version 7 UUIDs that grow."""

import uuid

from hypothesis import given
from hypothesis import strategies as st

from driftgate.gateway.wire.prediction_id import PredictionIds


@given(times=st.lists(st.integers(0, 2**48 - 1), min_size=1, max_size=50), seed=st.binary(max_size=4))
def test_ids_grow_and_are_uuids(times: list[int], seed: bytes) -> None:
    """Ids grow within a process, even where the clock goes back, and are UUIDs of version 7."""
    ids = PredictionIds(seed)
    made = [ids.new(now_ms) for now_ms in times]
    assert sorted(set(made)) == made
    for text, latest in zip(made, [max(times[: count + 1]) for count in range(len(times))], strict=True):
        parsed = uuid.UUID(text)
        assert (parsed.version, parsed.variant, str(parsed)) == (7, uuid.RFC_4122, text)
        assert parsed.int >> 80 == latest


def test_processes_do_not_collide() -> None:
    """Two generators make different ids in the same millisecond."""
    one, other = PredictionIds(), PredictionIds()
    assert not {one.new(5) for _ in range(1000)} & {other.new(5) for _ in range(1000)}


def test_many_in_one_millisecond() -> None:
    """A millisecond does not run out of ids."""
    ids = PredictionIds()
    made = [ids.new(1) for _ in range(20_000)]
    assert sorted(set(made)) == made
    assert {len(text) for text in made} == {36}
