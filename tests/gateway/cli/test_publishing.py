"""Publishing from Python and from the command line, as far as stored features are concerned."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

import driftgate
from driftgate.features.views.view import Feature, FeatureView, JoinKey
from driftgate.gateway.cli.publish import app
from driftgate.models.errors import InvalidManifest

from harness.features import declare
from harness.models import linear_model

USERS = FeatureView("users", (JoinKey("user", "int64"),), (Feature("age", "float32", on_missing="error"),))
BINDING = """
[[views]]
view = "users"
keys = { user = "user" }
features = { age = "f1" }
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory with a model, a binding and a registry that declares its view."""
    (tmp_path / "m.onnx").write_bytes(linear_model(1.0).SerializeToString())
    (tmp_path / "binding.toml").write_text(BINDING)
    declare(tmp_path / "registry", USERS)
    return tmp_path


def test_a_binding_is_published_with_the_model(place: Path) -> None:
    """`--features` puts the binding into the manifest; keys have the type that their view declares."""
    words = [str(place / "m.onnx"), "--name", "m", "--registry", str(place / "registry")]
    done = CliRunner().invoke(app, [*words, "--features", str(place / "binding.toml")])
    assert done.exit_code == 0, done.output
    published = driftgate.publish(
        place / "m.onnx", name="m", registry=place / "registry", features=place / "binding.toml"
    )
    assert not published.created
    assert published.manifest.features is not None
    assert published.manifest.features.keys[0].type == "int64"


def test_a_binding_of_what_is_not_declared_is_refused(place: Path) -> None:
    """A feature that the declared view does not have is refused with file and line; nothing is published."""
    (place / "binding.toml").write_text(BINDING.replace("age", "rage"))
    with pytest.raises(InvalidManifest, match=r"binding.toml, line 5: view 'users' has no feature 'rage'"):
        driftgate.publish(
            place / "m.onnx", name="m", registry=place / "registry", features=place / "binding.toml"
        )
    assert not (place / "registry" / "m" / "1").exists()
