"""Online features of an entity: store, read, push, materialise.

`training_frame` joins training sets point-in-time. It is looked up on first use: it brings in pandas.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from driftgate.features.training.frame import FeatureSource, training_frame

__all__ = ["FeatureSource", "training_frame"]

_HOMES = {name: "driftgate.features.training.frame" for name in __all__}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'driftgate.features' has no attribute {name!r}")
