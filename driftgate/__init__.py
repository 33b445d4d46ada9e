"""Driftgate: an online model-serving gateway with built-in monitoring.

`publish` puts a model version into a registry, `load` opens one in process, `training_frame` joins features
to a training set as serving would have seen them. They are looked up on first use, so that importing the
package costs nothing and a server process never imports pandas or scikit-learn.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from driftgate.features.training.frame import training_frame
    from driftgate.models.local.load import load
    from driftgate.models.publish.model import publish

__all__ = ["__version__", "load", "publish", "training_frame"]
__version__ = "0.1.0"

_HOMES = {
    "load": "driftgate.models.local.load",
    "publish": "driftgate.gateway.cli.publishing",
    "training_frame": "driftgate.features.training.frame",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'driftgate' has no attribute {name!r}")
