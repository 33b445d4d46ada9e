"""What versions answer now, from the counters of all slots."""

from pathlib import Path

import pytest

from driftgate.gateway.dashboard.traffic_meter import TrafficMeter
from driftgate.gateway.layout import StateLayout
from driftgate.gateway.state.counters import CounterFile


def test_rates_are_of_what_was_counted_between_looks(tmp_path: Path) -> None:
    """Rows, requests, errors and latency of both slots over the seconds in between; other time counts not."""
    layout, now = StateLayout(tmp_path), [100.0]
    meter = TrafficMeter(layout, lambda: now[0])
    slots = []
    for number in (0, 1):
        layout.slot(number).mkdir(parents=True)
        slots.append(CounterFile(layout.counters(number)).of("m", "2"))
    slots[0].answered(500, 0, 0, 10_000_000)
    meter.look()
    assert meter.traffic() == {}
    for slot in slots:
        for _ in range(10):
            slot.executed(3, 0, 0, 0)
            slot.answered(200, 0, 0, 1_400_000)
    slots[0].answered(422, 0, 0, 1_400_000)
    now[0] += 10
    meter.look()
    found = meter.traffic()[("m", 2)]
    assert (found.over_s, found.rows_per_s, found.failed_per_s) == (10, 6, 0)
    assert found.requests_per_s == pytest.approx(2.1)
    assert found.refused_per_s == pytest.approx(0.1)
    assert found.p50_ms == pytest.approx(1.25, abs=0.1)


def test_damaged_counters_are_left_out(tmp_path: Path) -> None:
    """A file that is none costs its slot's rates and nothing else."""
    layout = StateLayout(tmp_path)
    layout.slot(0).mkdir(parents=True)
    layout.counters(0).write_bytes(b"none")
    meter = TrafficMeter(layout, lambda: 0.0)
    meter.look()
    meter.look()
    assert meter.traffic() == {}
