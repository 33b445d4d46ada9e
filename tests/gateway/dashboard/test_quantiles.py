"""Quantiles of times in buckets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftgate.gateway.dashboard.quantiles import Latency, latency_of

LIMITS_MS = (1.0, 2.0, 4.0, 8.0)


def test_nothing_counted_has_no_quantiles() -> None:
    """Without any time there is no quantile, rather than 0."""
    assert latency_of(LIMITS_MS, (0, 0, 0, 0, 0)) == Latency(None, None, None)


def test_times_lie_evenly_within_a_bucket() -> None:
    """Of a hundred times between 2 and 4 ms the median is 3 ms."""
    assert latency_of(LIMITS_MS, (0, 0, 100, 0, 0)).p50_ms == pytest.approx(3.0)


def test_beyond_the_last_limit_nothing_is_made_up() -> None:
    """Times that no limit bounds are told as the last limit."""
    assert latency_of(LIMITS_MS, (0, 0, 0, 0, 5)).p99_ms == 8.0


@given(st.lists(st.integers(0, 1000), min_size=5, max_size=5))
def test_quantiles_ascend(counts: list[int]) -> None:
    """The median is never above the 90th percentile, nor that above the 99th."""
    found = latency_of(LIMITS_MS, counts)
    if found.p50_ms is not None and found.p90_ms is not None and found.p99_ms is not None:
        assert 0 <= found.p50_ms <= found.p90_ms <= found.p99_ms <= 8
