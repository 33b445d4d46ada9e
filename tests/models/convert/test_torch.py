"""A torch module becomes an ONNX model that says the same."""

from pathlib import Path

import numpy as np
import pytest

from driftgate.models.convert.torch import is_torch
from driftgate.models.publish.model import publish


def test_what_is_no_module_is_told_without_torch() -> None:
    """Telling a module from other things takes no import of torch."""
    assert not is_torch(object())


@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch.*")  # its newer exporter takes onnxscript
@pytest.mark.filterwarnings("ignore:You are using the legacy TorchScript:DeprecationWarning")
def test_a_module_is_published(tmp_path: Path) -> None:
    """A module is exported with rows as its first dimension, and compared on the examples."""
    torch = pytest.importorskip("torch", reason="torch is not installed: it is no dependency of ours")
    module = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2))
    rows = np.random.default_rng(0).normal(size=(20, 3))
    published = publish(module, name="m", registry=tmp_path, examples=rows)
    assert published.manifest.agreement is not None
    assert published.manifest.signature.inputs[0].shape == (-1, 3)
    assert [column.name for column in published.manifest.columns] == ["f0", "f1", "f2"]
    assert published.manifest.independent_rows
