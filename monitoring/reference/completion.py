"""What training rows cannot have, latency and the age of stored features, taken from first traffic. Pure."""

import msgspec

from driftgate.monitoring.reference.features import moments_of
from driftgate.monitoring.reference.profile import FeatureProfile, Moments, ReferenceProfile, Source
from driftgate.monitoring.windows.pane import Pane

OF_TRAFFIC = ("latency", "feature_age")
"""The roles of columns that are not there before somebody asks."""


def lacks_traffic(profile: ReferenceProfile) -> bool:
    """Tell whether a reference of training rows has yet to be completed."""
    lacking = any(one.role in OF_TRAFFIC and not one.rows for one in profile.features)
    return profile.source == "training" and not profile.last_us and lacking


def completed(profile: ReferenceProfile, traffic: Pane, between: tuple[int, int]) -> ReferenceProfile:
    """Return the profile with what is lacking as it was in a pane of its own cells; the rest stays.

    `between`: when the rows of the pane came, in Unix microseconds.
    """
    starts = profile.offsets()

    def of_traffic(place: int, feature: FeatureProfile) -> FeatureProfile:
        if feature.role not in OF_TRAFFIC or feature.rows:
            return feature
        counts = traffic.counts[starts[place] : starts[place + 1]]
        moments = moments_of(feature, traffic, place, int(starts[place]))
        return msgspec.structs.replace(feature, counts=tuple(counts.tolist()), moments=moments)

    features = tuple(of_traffic(*numbered) for numbered in enumerate(profile.features))
    return msgspec.structs.replace(profile, features=features, first_us=between[0], last_us=between[1])


def feature_source(profile: ReferenceProfile, feature: FeatureProfile) -> Source:
    """Return where the counts of a profile's feature are from; "none" where it has none yet."""
    if not feature.rows:
        return "none"
    return "traffic" if feature.role in OF_TRAFFIC else profile.source


def completes(new: ReferenceProfile, old: ReferenceProfile) -> bool:
    """Tell whether a reference is an older one that was completed: what was found with that still holds."""
    return lacks_traffic(old) and bool(new.last_us) and _of_training(new) == _of_training(old)


def _of_training(profile: ReferenceProfile) -> ReferenceProfile:
    features = tuple(
        msgspec.structs.replace(one, counts=(), moments=Moments()) if one.role in OF_TRAFFIC else one
        for one in profile.features
    )
    return msgspec.structs.replace(profile, features=features, first_us=0, last_us=0)
