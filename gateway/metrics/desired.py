"""What the newest desired state says, as metrics: who has which share of the traffic, and who is ejected."""

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily, Metric

from driftgate.gateway.layout import StateLayout
from driftgate.gateway.state.desired import TOTAL_PPM, DesiredState, UnreadableState
from driftgate.gateway.state.generations import GenerationStore


def desired_metrics(layout: StateLayout) -> Iterator[Metric]:
    """Yield the metrics of a state directory's newest generation; none without a sound one."""
    try:
        newest = GenerationStore(layout.desired).newest()
    except UnreadableState:
        return  # the doctor says so, and a gateway does not start on it
    if newest:
        yield from traffic_metrics(newest[0])


def traffic_metrics(state: DesiredState) -> Iterator[Metric]:
    """Yield the number of the state, the share of every arm, and 1 for every version that is ejected."""
    yield GaugeMetricFamily(
        "driftgate_newest_generation", "Newest generation of the desired state.", value=state.generation
    )
    shares = GaugeMetricFamily(
        "driftgate_traffic_share", "Share of the traffic, from 0 to 1.", labels=["model", "version", "arm"]
    )
    ejected = GaugeMetricFamily(
        "driftgate_version_ejected",
        "1 for a version that was taken out of the traffic because it harms.",
        labels=["model", "version"],
    )
    for name, model in state.models.items():
        for arm in model.split.arms:
            shares.add_metric([name, str(arm.version), arm.name], arm.weight_ppm / TOTAL_PPM)
        for version in model.ejected:
            ejected.add_metric([name, version], 1)
    yield from (shares, ejected)
