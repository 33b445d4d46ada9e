"""The private cache of verified versions."""

import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from driftgate.models.errors import RegistryError, UnsafeFile
from driftgate.models.publish.onnx_file import Published
from driftgate.models.registry.cache import VersionCache
from driftgate.models.registry.directory import DirectoryRegistry
from driftgate.models.registry.snapshot import PublishedVersion, RegistrySnapshot

Publish = Callable[..., Published]


@pytest.fixture
def registry(registry_root: Path, publish_version: Publish) -> DirectoryRegistry:
    """A registry that holds version 1 of model m."""
    publish_version("m")
    return DirectoryRegistry(registry_root)


@pytest.fixture
def version(registry: DirectoryRegistry) -> PublishedVersion:
    """Version 1 of model m."""
    return registry.scan().models["m"].versions[1]


@pytest.fixture
def cache(tmp_path: Path) -> VersionCache:
    """An empty cache, whose directory does not exist yet."""
    return VersionCache(tmp_path / "cache")


def test_add_and_verify(cache: VersionCache, registry: DirectoryRegistry, version: PublishedVersion) -> None:
    """An added version is here, whole, private and what was published; nothing else is left behind."""
    assert cache.digests() == frozenset()
    path = cache.add(registry, version)
    assert path == cache.path(version.digest)
    assert cache.digests() == {version.digest}
    assert cache.verify(version.digest) == version.manifest
    assert os.listdir(cache.root) == [version.digest]
    assert path.stat().st_mode & 0o777 == 0o700


def test_again_is_nothing(
    cache: VersionCache, registry: DirectoryRegistry, registry_root: Path, version: PublishedVersion
) -> None:
    """A version that is here is not fetched again, even if the registry is gone."""
    cache.add(registry, version)
    shutil.rmtree(registry_root)
    assert cache.add(registry, version) == cache.path(version.digest)


def test_remove(cache: VersionCache, registry: DirectoryRegistry, version: PublishedVersion) -> None:
    """A removed version is gone and can be added again; removing what is not here does nothing."""
    cache.remove(version.digest)
    cache.add(registry, version)
    cache.remove(version.digest)
    assert (cache.digests(), os.listdir(cache.root)) == (frozenset(), [])
    cache.add(registry, version)
    assert cache.digests() == {version.digest}


@pytest.mark.parametrize("digest", ["", "../x", "a" * 63, "A" * 64, "a" * 65])
def test_digest_is_checked(cache: VersionCache, digest: str) -> None:
    """Nothing but a SHA-256 names a directory of the cache."""
    with pytest.raises(ValueError, match="SHA-256"):
        cache.path(digest)


def test_concurrent_adds(cache: VersionCache, registry: DirectoryRegistry, version: PublishedVersion) -> None:
    """Adding the same version from several threads at once makes one good copy."""
    start = threading.Barrier(4)
    failures: list[Exception] = []

    def add() -> None:
        start.wait()
        try:
            cache.add(registry, version)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert os.listdir(cache.root) == [version.digest]
    cache.verify(version.digest)


def test_damaged_source_leaves_nothing(
    cache: VersionCache, registry: DirectoryRegistry, registry_root: Path, version: PublishedVersion
) -> None:
    """A version whose file is not the published one leaves nothing half-made."""
    (registry_root / "m" / "1" / "model.onnx").write_bytes(b"other")
    with pytest.raises(UnsafeFile):
        cache.add(registry, version)
    assert os.listdir(cache.root) == []


class FullDisk:
    """A registry whose copy fails half-way, as on a full disk."""

    def scan(self) -> RegistrySnapshot:
        """Show nothing."""
        return RegistrySnapshot()

    def fetch(self, published: PublishedVersion, target: Path) -> None:
        """Write a part, then fail."""
        target.mkdir()
        (target / "model.onnx").write_bytes(b"half")
        raise RegistryError("the version could not be copied: No space left on device")


def test_full_disk_leaves_nothing(cache: VersionCache, version: PublishedVersion) -> None:
    """A copy that fails half-way leaves nothing and says why."""
    with pytest.raises(RegistryError, match="No space left"):
        cache.add(FullDisk(), version)
    assert os.listdir(cache.root) == []


def test_small_disk(registry: DirectoryRegistry, version: PublishedVersion) -> None:
    """On a device that takes no byte, adding fails with a reason that can be shown."""
    with pytest.raises(RegistryError, match="the cache cannot be written"):
        VersionCache(Path("/proc/cache")).add(registry, version)


def test_sweep(cache: VersionCache, registry: DirectoryRegistry, version: PublishedVersion) -> None:
    """A sweep deletes what an owner that died left half-made, and keeps complete versions."""
    cache.add(registry, version)
    for name in (".coming-x", ".leaving-y"):
        (cache.root / name).mkdir()
        (cache.root / name / "model.onnx").write_bytes(b"half")
    cache.sweep()
    assert os.listdir(cache.root) == [version.digest]


def test_sweep_of_nothing(cache: VersionCache) -> None:
    """A cache that does not exist yet has nothing to sweep and nothing to list."""
    cache.sweep()
    assert cache.digests() == frozenset()


@pytest.mark.parametrize("name", ["model.onnx", "examples.npz", "manifest.json"])
def test_verify_finds_damage(
    cache: VersionCache, registry: DirectoryRegistry, version: PublishedVersion, name: str
) -> None:
    """A changed byte in any file of a cached version is found."""
    path = cache.add(registry, version) / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(UnsafeFile, match="damaged"):
        cache.verify(version.digest)


def test_verify_of_what_is_not_here(cache: VersionCache) -> None:
    """A version that is not here is an error, not an empty manifest."""
    with pytest.raises(RegistryError, match="cannot be read"):
        cache.verify("a" * 64)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_flip_is_accepted(
    cache: VersionCache, registry_root: Path, version: PublishedVersion, data: st.DataObject
) -> None:
    """Whatever bytes of whatever published file flip, the version is not accepted as what it was."""
    path = (
        registry_root
        / "m"
        / "1"
        / data.draw(st.sampled_from(["manifest.json", "model.onnx", "examples.npz"]))
    )
    good = path.read_bytes()
    places = data.draw(st.sets(st.integers(0, len(good) - 1), min_size=1, max_size=4))
    damaged = bytearray(good)
    for place in places:
        damaged[place] ^= data.draw(st.integers(1, 255))
    try:
        path.write_bytes(damaged)
        seen = DirectoryRegistry(registry_root).scan().models["m"].versions.get(1)
        assert path.name != "manifest.json" or seen is None or seen.digest != version.digest
        with pytest.raises(RegistryError):
            cache.add(DirectoryRegistry(registry_root), version)
        assert cache.digests() == frozenset()
    finally:
        path.write_bytes(good)
