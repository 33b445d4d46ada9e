"""A version in memory: it answers, and goes after its last request."""

import gc
import threading
import weakref
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from driftgate.models.errors import RunError
from driftgate.models.publish.onnx_file import Published
from driftgate.models.registry.cache import VersionCache
from driftgate.models.registry.directory import DirectoryRegistry
from driftgate.models.run.loaded import LoadedVersion
from driftgate.models.schema.manifest import Manifest

Publish = Callable[..., Published]
Rewrite = Callable[..., Manifest]


FIVE_S = 5.0


def test_loads_from_the_cache(registry_root: Path, tmp_path: Path, publish_version: Publish) -> None:
    """A cached version is loaded with all that the manifest says, and answers."""
    published = publish_version("m", scale=2.0)
    registry, cache = DirectoryRegistry(registry_root), VersionCache(tmp_path / "cache")
    path = cache.add(registry, registry.scan().models["m"].versions[1])
    version = LoadedVersion.load(path, threads=1)
    assert (version.model, version.version, version.digest) == ("m", 1, published.digest)
    assert (version.manifest, version.signature) == (published.manifest, published.manifest.signature)
    (answer,) = version.run({"x": np.ones((3, 4), np.float32)})
    assert answer.tolist() == [[8.0], [8.0], [8.0]]


def test_outputs_by_name(loaded: LoadedVersion) -> None:
    """Outputs can be asked for by name; inputs that the graph refuses raise RunError and harm nothing."""
    feeds = {"x": np.ones((1, 4), np.float32)}
    assert loaded.run(feeds, ["y"])[0].tolist() == [[8.0]]
    with pytest.raises(RunError):
        loaded.run({"x": np.ones((1, 5), np.float32)})
    assert loaded.run(feeds)[0].tolist() == [[8.0]]


def test_cost_is_measured(loaded: LoadedVersion) -> None:
    """The predicted time grows with the rows and is that of a small model."""
    assert 0 < loaded.cost.seconds(1) <= loaded.cost.seconds(1000)
    assert loaded.cost.seconds(1) < 0.1


def test_without_examples(directory: Path, rewrite_manifest: Rewrite) -> None:
    """A version without golden examples is loaded and timed with made-up rows."""
    (directory / "examples.npz").unlink()
    rewrite_manifest(directory, golden=None)
    version = LoadedVersion.load(directory, threads=1)
    assert version.cost.seconds(1) > 0


def test_freed_after_the_last_handle(loaded: LoadedVersion) -> None:
    """A retired version gives no new handles and is freed, off this thread, when the last one is back."""
    freed_by: list[str] = []
    freed = threading.Event()

    def on_free() -> None:
        freed_by.append(threading.current_thread().name)
        freed.set()

    loaded.acquire()
    loaded.acquire()
    loaded.retire(on_free)
    loaded.release()
    with pytest.raises(RuntimeError, match="retired"):
        loaded.acquire()
    assert loaded.in_use == 1
    assert loaded.run({"x": np.ones((1, 4), np.float32)})
    assert not freed.is_set()
    loaded.release()
    assert freed.wait(FIVE_S)
    assert freed_by == ["free-session"]
    with pytest.raises(RuntimeError, match="freed"):
        loaded.run({"x": np.ones((1, 4), np.float32)})


def test_freed_at_once_without_handles(loaded: LoadedVersion) -> None:
    """A version that nobody uses is freed as soon as it is retired, and only once."""
    freed = threading.Event()
    session = weakref.ref(loaded._session)
    loaded.retire(freed.set)
    assert freed.wait(FIVE_S)
    gc.collect()
    assert session() is None
    with pytest.raises(RuntimeError, match="already"):
        loaded.retire(freed.set)


def test_release_needs_a_handle(loaded: LoadedVersion) -> None:
    """Releasing what was not acquired is a mistake that is told."""
    with pytest.raises(RuntimeError, match="more often"):
        loaded.release()
