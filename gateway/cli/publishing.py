"""`driftgate.publish`: publishing, with a profile of the reference, and with the registry's feature views."""

from collections.abc import Sequence
from functools import partial, update_wrapper
from pathlib import Path

from driftgate.features.views.declaration import declared_views
from driftgate.features.views.view import FeatureView
from driftgate.gateway.serving.reference_profile import reference_profile
from driftgate.models.publish.model import publish as publish_alone


def views_of(registry: Path) -> Sequence[FeatureView]:
    """Return the feature views that a registry declares soundly; raises StoreUnavailable."""
    return tuple(declared_views(registry).views.values())


publish = partial(publish_alone, profiler=reference_profile, views=views_of)
update_wrapper(publish, publish_alone)
