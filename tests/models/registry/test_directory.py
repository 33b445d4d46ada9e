"""What a registry directory shows, and what it refuses to show."""

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from driftgate.models.errors import RegistryError, RegistryUnavailable, UnsafeFile
from driftgate.models.publish.onnx_file import Published
from driftgate.models.registry.directory import DirectoryRegistry, MemoryRegistry
from driftgate.models.registry.settings import ModelSettings
from driftgate.models.registry.snapshot import PublishedVersion, RegistryModel
from driftgate.models.schema.manifest import MAX_MANIFEST_BYTES, Manifest

Publish = Callable[..., Published]
Rewrite = Callable[..., Manifest]


@pytest.fixture
def registry(registry_root: Path) -> DirectoryRegistry:
    """A registry over the test's directory."""
    return DirectoryRegistry(registry_root)


@pytest.fixture
def only(registry: DirectoryRegistry) -> Callable[[], RegistryModel]:
    """Look at the registry and return its only model."""

    def look() -> RegistryModel:
        (model,) = registry.scan().models.values()
        return model

    return look


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


@pytest.mark.parametrize(
    "name",
    ["a b", "-rf", "fraud\n", "fr\u0430ud", "a" * 129, "na\u00efve", "a\\b", "..x", "\x1b[31mred", "a;b"],
)
def test_bad_model_names(registry: DirectoryRegistry, registry_root: Path, name: str) -> None:
    """A directory whose name cannot name a model is not served; it is named, safely, unless hidden."""
    (registry_root / name).mkdir()
    snapshot = registry.scan()
    assert snapshot.models == {}
    assert len(snapshot.problems) == (0 if name.startswith(".") else 1)
    assert all(problem.isprintable() for problem in snapshot.problems)


def test_undecodable_name(registry: DirectoryRegistry, registry_root: Path) -> None:
    """A name that is not UTF-8 is reported in a text that can be encoded."""
    os.mkdir(os.fsencode(registry_root) + b"/\xff\xfe")
    (problem,) = registry.scan().problems
    assert problem.encode()


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


@pytest.mark.parametrize(
    "name", ["01", "1.0", "\uff11", "1 ", "+1", "0", "-1", "v2", "1e3", "9" * 19, "\u0663"]
)
def test_odd_version_directories(
    registry_root: Path, publish_version: Publish, only: Callable[[], RegistryModel], name: str
) -> None:
    """A directory whose name only resembles a version is not one, and the model says so."""
    publish_version("m")
    shutil.copytree(registry_root / "m" / "1", registry_root / "m" / name)
    model = only()
    assert set(model.versions) == {1}
    assert "is not a version" in model.problems[0]


def test_without_manifest_is_invisible(
    registry_root: Path, publish_version: Publish, only: Callable[[], RegistryModel]
) -> None:
    """A directory without a manifest is simply not there."""
    publish_version("m")
    shutil.copytree(registry_root / "m" / "1", registry_root / "m" / "2")
    (registry_root / "m" / "2" / "manifest.json").unlink()
    model = only()
    assert (set(model.versions), model.problems) == ({1}, {})


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "manifest.json"),
        (b'{"format": 1, "name": "m"', "manifest.json"),
        (b"<!doctype html>", "manifest.json"),
        (b"\x80\x04\x95pickle", "manifest.json"),
        (b"\xff\xfe{\x00}\x00", "manifest.json"),
        (b"[" * 100_000, "manifest.json"),
        (b'{"format": 99}', "Upgrade"),
        (b'{"format": 1}', "manifest.json"),
        (b" " * (MAX_MANIFEST_BYTES + 1), "larger than the limit"),
    ],
)
def test_broken_manifest_is_a_problem(
    registry_root: Path,
    publish_version: Publish,
    only: Callable[[], RegistryModel],
    content: bytes,
    complaint: str,
) -> None:
    """A manifest that is cut short, huge or something else is a problem of that version alone."""
    publish_version("m")
    (registry_root / "m" / "2").mkdir()
    (registry_root / "m" / "2" / "manifest.json").write_bytes(content)
    model = only()
    assert set(model.versions) == {1}
    assert complaint in model.problems[2]


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "other"},
        {"version": 2},
        {"name": "../m"},
        {"files": ()},
        {"format": 0},
    ],
)
def test_manifest_must_fit_its_place(
    registry_root: Path,
    publish_version: Publish,
    rewrite_manifest: Rewrite,
    only: Callable[[], RegistryModel],
    changes: dict[str, object],
) -> None:
    """A manifest of another model or version, or that contradicts itself, makes no version."""
    publish_version("m")
    rewrite_manifest(registry_root / "m" / "1", **changes)
    model = only()
    assert model.versions == {}
    assert model.problems[1]


@pytest.mark.parametrize(
    "path", ["../other/model.onnx", "/etc/passwd", "a/../../b", "", ".", "a\0b", "manifest.json"]
)
def test_listed_paths_stay_inside(
    registry_root: Path,
    publish_version: Publish,
    rewrite_manifest: Rewrite,
    only: Callable[[], RegistryModel],
    path: str,
) -> None:
    """A manifest that lists a file outside its directory, or itself, makes no version."""
    manifest = publish_version("m").manifest
    extra = msgspec.structs.replace(manifest.files[0], path=path)
    rewrite_manifest(registry_root / "m" / "1", files=(*manifest.files, extra))
    model = only()
    assert model.versions == {}
    assert "files" in model.problems[1]


def replace_by_link(path: Path) -> None:
    """Put a link to the same thing, moved away."""
    path.rename(path.with_name("moved-away"))
    path.symlink_to("moved-away")


def replace_by_fifo(path: Path) -> None:
    """Put a FIFO, which blocks whoever opens it without care."""
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    os.mkfifo(path)


def replace_by_hard_link(path: Path) -> None:
    """Give a file a second name."""
    os.link(path, path.with_name("second-name"))


def replace_by_directory(path: Path) -> None:
    """Put a directory in place of a file."""
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("replace", [replace_by_link, replace_by_fifo])
@pytest.mark.parametrize("place", ["m", "m/1"])
def test_special_files_for_directories(
    registry_root: Path,
    registry: DirectoryRegistry,
    publish_version: Publish,
    replace: Callable[[Path], None],
    place: str,
) -> None:
    """A link or FIFO in place of a model's or version's directory is not followed and not a deletion."""
    publish_version("m")
    replace(registry_root / place)
    model = registry.scan().models["m"]
    assert model.versions == {}
    assert "links are not followed" in model.problems[0 if place == "m" else 1]
    assert model.readable is (place != "m")


@pytest.mark.parametrize(
    "replace", [replace_by_link, replace_by_fifo, replace_by_hard_link, replace_by_directory]
)
def test_special_files_for_manifests(
    registry_root: Path,
    publish_version: Publish,
    only: Callable[[], RegistryModel],
    replace: Callable[[Path], None],
) -> None:
    """A link, FIFO, hard link or directory in place of manifest.json is a problem of the version."""
    publish_version("m")
    replace(registry_root / "m" / "1" / "manifest.json")
    model = only()
    assert model.versions == {}
    assert "manifest.json" in model.problems[1]


@pytest.mark.parametrize("replace", [replace_by_link, replace_by_fifo, replace_by_hard_link])
def test_special_files_for_models(
    tmp_path: Path,
    registry_root: Path,
    registry: DirectoryRegistry,
    publish_version: Publish,
    replace: Callable[[Path], None],
) -> None:
    """A link, FIFO or hard link in place of a listed file is not copied."""
    publish_version("m")
    version = registry.scan().models["m"].versions[1]
    replace(registry_root / "m" / "1" / "model.onnx")
    with pytest.raises(UnsafeFile, match=r"'model\.onnx'"):
        registry.fetch(version, tmp_path / "copy")


def test_fetched_files_are_the_published_ones(
    tmp_path: Path, registry_root: Path, registry: DirectoryRegistry, publish_version: Publish
) -> None:
    """Fetching copies the listed files and the manifest, byte by byte, and nothing else."""
    publish_version("m")
    (registry_root / "m" / "1" / "unlisted.bin").write_bytes(b"x")
    registry.fetch(registry.scan().models["m"].versions[1], tmp_path / "copy")
    copied = {path.name: path.read_bytes() for path in (tmp_path / "copy").iterdir()}
    assert set(copied) == {"examples.npz", "manifest.json", "model.onnx"}
    assert all((registry_root / "m" / "1" / name).read_bytes() == data for name, data in copied.items())


@pytest.mark.parametrize("then", ["changed", "gone", "all gone"])
def test_fetch_of_what_was_seen(
    tmp_path: Path, registry_root: Path, publish_version: Publish, rewrite_manifest: Rewrite, then: str
) -> None:
    """A version that changed or went after the look is refused; a half-made copy has no manifest."""
    publish_version("m")
    registry = DirectoryRegistry(registry_root)
    directory = registry_root / "m" / "1"
    version = registry.scan().models["m"].versions[1]
    if then == "changed":
        rewrite_manifest(directory, meta={"other": "content"})
    elif then == "gone":
        (directory / "manifest.json").unlink()
    else:
        shutil.rmtree(directory)
    with pytest.raises(RegistryError):
        registry.fetch(version, tmp_path / "copy")
    assert not (tmp_path / "copy" / "manifest.json").exists()


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


@pytest.fixture
def unprivileged_registry() -> Iterator[Path]:
    """A registry with two models and a version each, and a process that may not read everything."""
    root = Path(tempfile.mkdtemp())
    directories = [root, root / "closed", root / "closed" / "1", root / "open", root / "open" / "1"]
    user, other = os.geteuid(), 65534
    for directory in directories:
        directory.mkdir(exist_ok=True)
        if user == 0:
            os.chown(directory, other, -1)
    if user == 0:
        os.seteuid(other)
    yield root
    os.seteuid(user)
    for directory in directories:
        directory.chmod(0o700)
    shutil.rmtree(root)


def test_unreadable_root(unprivileged_registry: Path) -> None:
    """A root that may not be read is unavailable."""
    unprivileged_registry.chmod(0)
    with pytest.raises(RegistryUnavailable, match="Permission denied"):
        DirectoryRegistry(unprivileged_registry).scan()


def test_unreadable_model_is_not_deleted(unprivileged_registry: Path) -> None:
    """A model that may not be read is a problem of that model alone."""
    (unprivileged_registry / "closed").chmod(0)
    models = DirectoryRegistry(unprivileged_registry).scan().models
    assert models["open"] == RegistryModel("open", {})
    assert models["closed"] == RegistryModel(
        "closed", {}, None, {0: "cannot be read: Permission denied"}, readable=False
    )


def test_unreadable_version_is_not_deleted(unprivileged_registry: Path) -> None:
    """A version that may not be read is a problem of that version alone."""
    (unprivileged_registry / "closed" / "1").chmod(0)
    model = DirectoryRegistry(unprivileged_registry).scan().models["closed"]
    assert (model.readable, model.problems) == (True, {1: "cannot be read: Permission denied"})


@pytest.fixture
def bare_root(registry_root: Path, model_bytes: Callable[[float], bytes]) -> Path:
    """A tree of plain ONNX files: one model with one version."""
    (registry_root / "bare" / "1").mkdir(parents=True)
    (registry_root / "bare" / "1" / "model.onnx").write_bytes(model_bytes(1.0))
    return registry_root


def test_bare_needs_permission(bare_root: Path) -> None:
    """A plain ONNX file without a manifest is invisible unless bare versions are allowed."""
    assert DirectoryRegistry(bare_root).scan().models["bare"].versions == {}


def test_bare_is_served(bare_root: Path, tmp_path: Path) -> None:
    """A bare version gets a manifest from its signature, with warnings, and can be fetched."""
    registry = DirectoryRegistry(bare_root, allow_bare=True)
    version = registry.scan().models["bare"].versions[1]
    assert [column.name for column in version.manifest.columns] == ["f0", "f1", "f2", "f3"]
    assert version.manifest.independent_rows
    assert any("golden" in warning for warning in version.manifest.warnings)
    registry.fetch(version, tmp_path / "copy")
    assert {path.name for path in (tmp_path / "copy").iterdir()} == {"manifest.json", "model.onnx"}
    assert registry.scan().models["bare"].versions[1] is version
    assert DirectoryRegistry(bare_root, allow_bare=True).scan().models["bare"].versions[1] == version


@pytest.mark.parametrize("content", [b"", b"<html>", b"\x80\x04\x95", b"\0" * 4096])
def test_bare_garbage(bare_root: Path, content: bytes) -> None:
    """A bare file that is no ONNX model is a problem of that version, without a path in its text."""
    (bare_root / "bare" / "1" / "model.onnx").write_bytes(content)
    model = DirectoryRegistry(bare_root, allow_bare=True).scan().models["bare"]
    assert model.versions == {}
    assert model.problems[1]
    assert tempfile.gettempdir() not in model.problems[1]


def test_bare_without_room(bare_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a place to examine it, a bare version is a problem, and is looked at again later."""
    registry = DirectoryRegistry(bare_root, allow_bare=True)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    assert "cannot be copied to be examined" in registry.scan().models["bare"].problems[1]
    monkeypatch.undo()
    assert set(registry.scan().models["bare"].versions) == {1}


def test_bare_link(bare_root: Path) -> None:
    """A link in place of a bare file is not followed."""
    replace_by_link(bare_root / "bare" / "1" / "model.onnx")
    model = DirectoryRegistry(bare_root, allow_bare=True).scan().models["bare"]
    assert "link" in model.problems[1]


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


def test_memory_twin(
    tmp_path: Path, registry_root: Path, registry: DirectoryRegistry, publish_version: Publish
) -> None:
    """The registry in memory shows and copies what the one on disk does, and can be made unavailable."""
    publish_version("m")
    version = registry.scan().models["m"].versions[1]
    source = registry_root / "m" / "1"
    twin = MemoryRegistry()
    twin.add(version, {e.path: (source / e.path).read_bytes() for e in version.manifest.files})
    assert twin.scan() == registry.scan()
    for name, either in (("disk", registry), ("memory", twin)):
        either.fetch(version, tmp_path / name)
    disk, memory = (
        {p.name: p.read_bytes() for p in (tmp_path / name).iterdir()} for name in ("disk", "memory")
    )
    assert disk == memory
    twin.available = False
    with pytest.raises(RegistryUnavailable):
        twin.scan()
