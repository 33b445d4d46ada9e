"""`model.toml` as a registry shows it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from driftgate.models.publish.onnx_file import Published
from driftgate.models.registry.settings import ModelSettings
from driftgate.models.registry.snapshot import RegistryModel

Publish = Callable[..., Published]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [(b"owner = ", "model.toml"), (b"owne = 'x'\n", "line 1"), (b"\xff", "UTF-8"), (b"#" * 2**21, "limit")],
)
def test_broken_settings(
    registry_root: Path,
    publish_version: Publish,
    only: Callable[[], RegistryModel],
    text: bytes,
    complaint: str,
) -> None:
    """Broken settings are a problem of the model, keep its versions visible and have no value."""
    publish_version("m")
    (registry_root / "m" / "model.toml").write_bytes(text)
    model = only()
    assert (set(model.versions), model.settings) == ({1}, None)
    assert complaint in model.problems[0]


def test_settings_change(
    registry_root: Path, publish_version: Publish, only: Callable[[], RegistryModel]
) -> None:
    """An edit of model.toml is seen at the next look, and so is its removal."""
    publish_version("m")
    settings = registry_root / "m" / "model.toml"
    settings.write_text('owner = "risk"\n')
    assert only().settings == ModelSettings(owner="risk")
    settings.write_text('owner = "r!sk"\n')
    assert only().settings == ModelSettings(owner="r!sk")
    settings.unlink()
    assert only().settings == ModelSettings()
