"""What a registry directory shows, and when it looks again."""

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from driftgate.models.errors import RegistryUnavailable
from driftgate.models.publish.onnx_file import Published
from driftgate.models.registry.directory import DirectoryRegistry
from driftgate.models.registry.settings import ModelSettings
from driftgate.models.registry.snapshot import PublishedVersion, RegistryModel

Publish = Callable[..., Published]


def test_published_is_visible(registry: DirectoryRegistry, publish_version: Publish) -> None:
    """A published version is shown with its manifest and the digest that publishing reported."""
    published = publish_version("fraud")
    model = registry.scan().models["fraud"]
    assert model.versions == {1: PublishedVersion("fraud", 1, published.digest, published.manifest)}
    assert (model.settings, model.problems, model.readable) == (ModelSettings(), {}, True)


def test_empty_is_legal(registry: DirectoryRegistry) -> None:
    """An empty registry is a registry without models, not an error."""
    assert registry.scan().models == {}


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.write_text("a file")])
def test_no_registry(tmp_path: Path, make: Callable[[Path], None]) -> None:
    """A root that is not there, or is no directory, is unavailable and never an empty registry."""
    make(tmp_path / "gone")
    with pytest.raises(RegistryUnavailable, match="What is loaded stays loaded"):
        DirectoryRegistry(tmp_path / "gone").scan()


def test_root_may_be_a_link(tmp_path: Path, registry_root: Path, publish_version: Publish) -> None:
    """The root is the operator's own word, so it may be a link; nothing below it may."""
    publish_version("m")
    (tmp_path / "link").symlink_to(registry_root)
    assert set(DirectoryRegistry(tmp_path / "link").scan().models) == {"m"}


def test_clutter_is_ignored(
    registry: DirectoryRegistry, registry_root: Path, publish_version: Publish
) -> None:
    """Plain files, hidden directories and what a file system puts there are no problem."""
    publish_version("m")
    (registry_root / "README.md").write_text("ours")
    (registry_root / "m" / "notes.txt").write_text("ours")
    (registry_root / ".git").mkdir()
    (registry_root / "m" / ".tmp-1").mkdir()
    (registry_root / "lost+found").mkdir()
    (registry_root / "_features").mkdir()
    snapshot = registry.scan()
    assert snapshot.problems == ()
    assert snapshot.models["m"].problems == {}


def test_without_manifest_is_invisible(
    registry_root: Path, publish_version: Publish, only: Callable[[], RegistryModel]
) -> None:
    """A directory without a manifest is simply not there."""
    publish_version("m")
    shutil.copytree(registry_root / "m" / "1", registry_root / "m" / "2")
    (registry_root / "m" / "2" / "manifest.json").unlink()
    model = only()
    assert (set(model.versions), model.problems) == ({1}, {})


def test_unchanged_is_not_read_again(
    registry: DirectoryRegistry, registry_root: Path, publish_version: Publish
) -> None:
    """An unchanged version is the very same value at the next look; a changed file is read again."""
    publish_version("m")
    first = registry.scan().models["m"].versions[1]
    assert registry.scan().models["m"].versions[1] is first
    os.utime(registry_root / "m" / "1" / "manifest.json", ns=(1, 1))
    again = registry.scan().models["m"].versions[1]
    assert again is not first
    assert again == first


def test_deletion_is_seen(registry: DirectoryRegistry, registry_root: Path, publish_version: Publish) -> None:
    """A version, then a model, that is taken away is gone without a problem."""
    publish_version("m", scale=1.0)
    publish_version("m", scale=2.0)
    assert set(registry.scan().models["m"].versions) == {1, 2}
    shutil.rmtree(registry_root / "m" / "1")
    assert set(registry.scan().models["m"].versions) == {2}
    shutil.rmtree(registry_root / "m")
    assert registry.scan().models == {}


def test_control_needs_no_runtime() -> None:
    """Looking at a registry imports neither the runtime nor anything of publishing."""
    code = (
        "import sys, driftgate.models.run.probation\n"
        "import driftgate.models.registry.directory, driftgate.models.registry.cache\n"
        "print(*{'onnxruntime', 'onnx', 'pandas', 'sklearn'} & set(sys.modules))"
    )
    read, write = os.pipe()
    pid = os.posix_spawn(
        sys.executable,
        [sys.executable, "-c", code],
        os.environ,
        file_actions=[(os.POSIX_SPAWN_DUP2, write, 1)],
    )
    os.close(write)
    assert os.waitpid(pid, 0)[1] == 0
    with open(read) as output:
        assert output.read().strip() == ""
