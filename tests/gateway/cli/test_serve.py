"""`driftgate serve`: what it makes of its arguments."""

from pathlib import Path

import pytest

from driftgate.gateway.cli.serve import name_from
from driftgate.models.schema.names import check_model_name


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("fraud.onnx", "fraud"),
        ("models/fraud v2 (final).onnx", "fraud-v2-final"),
        ("résumé.onnx", "r-sum"),
        (".hidden.onnx", "hidden"),
        ("日本.onnx", "model"),
        ("...onnx", "model"),
        (f"{'x' * 200}.onnx", "x" * 128),
    ],
)
def test_a_file_names_its_model(file: str, name: str) -> None:
    """Any file name gives a name that models may have."""
    assert name_from(Path(file)) == name
    check_model_name(name)
