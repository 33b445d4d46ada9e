"""How what clients send of stored features compares with what is stored, over all slots."""

from driftgate.features.lookup.skew import FeatureSkew, skew_report
from driftgate.gateway.admin.feature_documents import SkewAnswer, VersionSkew
from driftgate.gateway.layout import StateLayout
from driftgate.gateway.state.skew_counters import read_skew
from driftgate.gateway.state.slots import slot_numbers


def skew_of(layout: StateLayout, view: str) -> SkewAnswer:
    """Return each feature of a view that clients sent, the worst first: in all, and by model version."""
    total: dict[str, FeatureSkew] = {}
    versions: dict[tuple[str, int], dict[str, FeatureSkew]] = {}
    for key, counted in read_skew([layout.slot(number) for number in slot_numbers(layout)]).items():
        if key.view == view:
            total[key.feature] = total.get(key.feature, FeatureSkew()) + counted
            versions.setdefault((key.model, int(key.version)), {})[key.feature] = counted
    reports = [
        VersionSkew(model, version, skew_report(counts.items()))
        for (model, version), counts in sorted(versions.items())
    ]
    return SkewAnswer(
        view, skew_report(total.items()), tuple(report for report in reports if report.features)
    )
