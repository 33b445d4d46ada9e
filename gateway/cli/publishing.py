"""`driftgate.publish`: publishing, with a profile of the reference, and with the registry's feature views."""

from collections.abc import Sequence
from functools import partial, update_wrapper
from pathlib import Path

from driftgate.features.views.declaration import declared_views
from driftgate.features.views.view import FeatureView
from driftgate.gateway.serving.reference_profile import reference_profile
from driftgate.gateway.state.feature_views import KnownViews
from driftgate.models.publish.model import publish as publish_alone
from driftgate.models.remote.client import Connection, Server, model_path


def views_of(place: Path | Server, model: str) -> Sequence[FeatureView]:
    """Return the feature views that a registry declares soundly, to whoever may publish the model there.

    Raises StoreUnavailable, ServerRefused or ServerUnreachable.
    """
    if isinstance(place, Path):
        return tuple(declared_views(place).views.values())
    with Connection(place) as gateway:
        path = f"{model_path(model)}/feature-views"
        return tuple(gateway.ask_for(KnownViews, "GET", path, b"").views.values())


publish = partial(publish_alone, profiler=reference_profile, views=views_of)
update_wrapper(publish, publish_alone)
