"""A version is written whole, once, under one number."""

from collections.abc import Callable
from pathlib import Path

import pytest

from driftgate.models.errors import (
    InvalidName,
    VersionExists,
)
from driftgate.models.publish.onnx_file import Published
from driftgate.models.registry.settings import parse_settings
from driftgate.models.storage.transfer import verify_version

from harness.registry_files import visible

Publish = Callable[..., Published]


def test_a_version_is_complete(publish_version: Publish) -> None:
    """Every file is there, listed with size and hash, and settings for people lie beside the version."""
    published = publish_version("m")
    manifest, digest = verify_version(published.directory)
    assert (manifest.name, manifest.version, digest) == ("m", 1, published.digest)
    assert visible(published.directory) == {"manifest.json", "model.onnx", "examples.npz"}
    assert [entry.path for entry in manifest.files] == ["examples.npz", "model.onnx"]
    assert visible(published.directory.parent) == {"1", "model.toml"}
    parse_settings((published.directory.parent / "model.toml").read_text())


def test_numbers_count_up_from_the_highest(publish_version: Publish, registry_root: Path) -> None:
    """Without a number the next one is taken, whatever lies there; gaps are never filled."""
    assert publish_version("m", version=7).version == 7
    (registry_root / "m" / "9").mkdir()
    assert publish_version("m", scale=2.0).version == 10


def test_the_same_content_again_is_a_no_op(publish_version: Publish) -> None:
    """The same file under its number, or as the newest version, changes nothing."""
    first = publish_version("m")
    before = (first.directory / "manifest.json").read_bytes()
    for version in (None, 1):
        again = publish_version("m", version=version)
        assert (again.version, again.created, again.digest) == (1, False, first.digest)
    assert (first.directory / "manifest.json").read_bytes() == before
    assert visible(first.directory.parent) == {"1", "model.toml"}


def test_a_published_version_never_changes(publish_version: Publish) -> None:
    """Other content under a taken number is refused and the version stays as it was."""
    first = publish_version("m", version=3)
    before = (first.directory / "manifest.json").read_bytes()
    with pytest.raises(VersionExists, match="m version 3 already exists with other content"):
        publish_version("m", version=3, scale=2.0)
    assert (first.directory / "manifest.json").read_bytes() == before


@pytest.mark.parametrize("damage", [b"", b"other bytes"])
def test_a_damaged_version_is_not_the_same_content(publish_version: Publish, damage: bytes) -> None:
    """The manifest alone does not make two versions equal: the files behind it are hashed."""
    first = publish_version("m")
    (first.directory / "model.onnx").write_bytes(damage)
    with pytest.raises(VersionExists):
        publish_version("m", version=1)
    assert publish_version("m").version == 2


def test_an_older_equal_version_is_published_anew(publish_version: Publish) -> None:
    """Without a number only the newest version counts as already there, so going back is a new version."""
    publish_version("m", scale=1.0)
    publish_version("m", scale=2.0)
    assert publish_version("m", scale=1.0).version == 3


@pytest.mark.parametrize("name", ["", "..", "a/b", ".hidden", "a b", "Ä", "x" * 129])
def test_bad_names_touch_nothing(publish_version: Publish, registry_root: Path, name: str) -> None:
    """A name that cannot be one is refused before anything is written."""
    with pytest.raises(InvalidName):
        publish_version(name)
    assert list(registry_root.iterdir()) == []


def test_model_toml_of_people_is_kept(publish_version: Publish, registry_root: Path) -> None:
    """Settings that somebody has edited are never written over."""
    (registry_root / "m").mkdir()
    (registry_root / "m" / "model.toml").write_text('owner = "me"\n')
    publish_version("m")
    assert (registry_root / "m" / "model.toml").read_text() == 'owner = "me"\n'
