"""Online features of an entity: store, read, push, materialise.

`training_frame` joins training sets point-in-time; `FeatureView`, `Feature` and `JoinKey` declare a view in
Python. They are looked up on first use, as some bring in pandas.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from driftgate.features.training.frame import FeatureSource, training_frame
    from driftgate.features.views.view import Feature, FeatureView, JoinKey

__all__ = ["Feature", "FeatureSource", "FeatureView", "JoinKey", "training_frame"]

_HOMES = {
    "Feature": "driftgate.features.views.view",
    "FeatureSource": "driftgate.features.training.frame",
    "FeatureView": "driftgate.features.views.view",
    "JoinKey": "driftgate.features.views.view",
    "training_frame": "driftgate.features.training.frame",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'driftgate.features' has no attribute {name!r}")
