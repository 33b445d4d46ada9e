"""What `/metrics` says of those who would be refused if tokens were demanded."""

from collections import Counter
from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, Metric

from driftgate.gateway.access.refusals import all_refusals
from driftgate.gateway.layout import StateLayout

REASONS = frozenset({"no_token", "bad_token", "missing_scope", "quota"})


def refusal_metrics(layout: StateLayout) -> Iterator[Metric]:
    """Yield the requests that `auth.report_only` let in, by the reason why they would have been refused."""
    counts: Counter[str] = Counter()
    for row in all_refusals(layout):
        if row.reason in REASONS:
            counts[row.reason] += row.count
    would = CounterMetricFamily(
        "driftgate_auth_would_refuse", "Requests let in by auth.report_only alone.", labels=["reason"]
    )
    for reason, count in sorted(counts.items()):
        would.add_metric([reason], count)
    yield would
