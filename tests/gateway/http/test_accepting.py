"""Taking connections: each worker its share, and never nobody."""

import pytest

from driftgate.gateway.http.accepting import connections_within, should_step_back


@pytest.mark.parametrize(
    ("mine", "others", "expected"),
    [(0, [], False), (9, [], False), (0, [0], False), (1, [0], True), (3, [3, 5], False), (4, [9, 3], True)],
)
def test_the_one_with_fewer_connections_takes(mine: int, others: list[int], expected: bool) -> None:
    """A worker steps back while another one that accepts has fewer connections than itself."""
    assert should_step_back(mine, others) is expected


@pytest.mark.parametrize(
    ("limit", "descriptors", "expected"),
    [(4096, 1_048_576, 4096), (4096, 1024, 896), (4096, 64, 1), (10, 1024, 10)],
)
def test_connections_fit_into_the_descriptors(limit: int, descriptors: int, expected: int) -> None:
    """A worker takes no more connections than set, nor than leave it descriptors for all else."""
    assert connections_within(limit, descriptors) == expected
