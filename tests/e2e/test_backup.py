"""A gateway that is made again from a backup is the same one: splits, keys, tokens, settings, history."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from harness.gateway import Gateway, end, start, until
from harness.models import linear_model, publish_model

VIEW = '[[join_keys]]\nname = "user"\n\n[[features]]\nname = "spend"\ndtype = "float32"\n'
KEYS = [f"customer-{number}" for number in range(60)]


def run(*words: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "driftgate.gateway.cli.main", *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return done.returncode, done.stdout.strip(), done.stderr


def publish(root: Path, versions: int = 2) -> None:
    for version in range(1, versions + 1):
        publish_model(linear_model(float(version)), root / "registry")
    (root / "registry" / "m" / "model.toml").write_text('owner = "risk"\n[versions]\nlatest = 2\n')


def answers(gateway: Gateway) -> list[float]:
    """What every key gets: the versions answer differently."""
    rows = [gateway.infer("m", [[1, 1, 1, 1]], **{"x-routing-key": key}) for key in KEYS]
    return [float(answer.json()["outputs"][0]["data"][0]) for answer in rows]


def tokens(gateway: Gateway) -> list[dict[str, object]]:
    answer = gateway.admin("GET", "/api/tokens").json()["tokens"]
    return list(answer)


def split_and_backed_up(gateway: Gateway, *options: str) -> Path:
    """Give two versions traffic, make a token, then a backup."""
    gateway.wait_version("m", 2)
    gateway.wait_version("m", 1)
    url = f"{gateway.ports.admin}/api/models/m/traffic"
    split = {"arms": {"1": 70, "2": 30}}
    changed = gateway.client.put(url, json=split, headers={"if-match": "*"})
    assert changed.status_code == 200, changed.text
    made = gateway.admin("POST", "/api/tokens", {"name": "ci", "scopes": ["read:*"]})
    assert made.status_code == 200, made.text
    place = gateway.root / "backups"
    where = ("--state", str(gateway.layout.root), "--registry", str(gateway.registry))
    code, path, problem = run("backup", str(place), *where, *options)
    assert code == 0, problem
    return Path(path)


def test_a_restored_gateway_is_the_same(tmp_path: Path, start_gateway: Callable[..., Gateway]) -> None:
    """From a backup alone: same answers for every key, tokens, settings, feature views and audit trail."""
    publish(tmp_path)
    views = tmp_path / "registry" / "_features"
    views.mkdir()
    (views / "users.toml").write_text(VIEW)
    gateway: Gateway = start_gateway()
    backup = split_and_backed_up(gateway, "--with-models")
    before, keys = answers(gateway), tokens(gateway)
    assert len(set(before)) == 2
    history = gateway.admin("GET", "/api/state").json()["desired"]["generation"]
    assert gateway.stop() == 0
    other = tmp_path / "other"
    other.mkdir()
    code, _, problem = run(
        "restore", str(backup), "--state", str(other / "state"), "--registry", str(other / "registry")
    )
    assert code == 0, problem
    assert (other / "registry" / "_features" / "users.toml").read_text() == VIEW
    again = start(other, (), 1, {})
    try:
        until(again.ready, 20.0, "the restored gateway is ready")
        assert answers(again) == before
        assert tokens(again) == keys
        until(lambda: again.admin("GET", "/api/models/m/settings").is_success, 20.0, "control knows it")
        assert again.admin("GET", "/api/models/m/settings").json()["settings"]["owner"] == "risk"
        assert again.admin("GET", "/api/state").json()["desired"]["generation"] >= history
        assert again.admin("GET", "/api/events/verify").json().get("damage", []) == []
    finally:
        end(again)


def test_what_the_registry_lacks_is_named(tmp_path: Path, start_gateway: Callable[..., Gateway]) -> None:
    """A version that the registry lacks is named, with code 3, and taken up once it is there."""
    publish(tmp_path)
    gateway = start_gateway()
    backup = split_and_backed_up(gateway)
    before = answers(gateway)
    other = tmp_path / "other"
    words = ("restore", str(backup), "--state", str(other / "state"), "--registry", str(other / "registry"))
    code, _, problem = run(*words)
    assert code == 3
    assert "m@1 is not in the registry and has 70 % of the traffic" in problem
    assert (other / "registry" / "m" / "model.toml").exists()
    shutil.copytree(tmp_path / "registry", other / "registry", dirs_exist_ok=True)
    again = start(other, (), 1, {})
    try:
        for version in (1, 2):
            again.wait_version("m", version, within_s=20.0)
        assert answers(again) == before
    finally:
        end(again)


def test_a_running_gateway_is_not_restored_over(
    tmp_path: Path, start_gateway: Callable[..., Gateway]
) -> None:
    """A state directory that is not empty, a running gateway's above all, is refused and left alone."""
    publish(tmp_path)
    gateway = start_gateway()
    backup = split_and_backed_up(gateway)
    code, _, problem = run(
        "restore", str(backup), "--state", str(gateway.layout.root), "--registry", str(gateway.registry)
    )
    assert code == 1
    assert "is not empty" in problem
    assert httpx.get(f"{gateway.ports.admin}/health").status_code == 200


class Damage(NamedTuple):
    """An altered file of a backup, and what is said of it."""

    path: str
    old: bytes
    new: bytes
    reason: str


@pytest.mark.parametrize(
    "damage",
    [
        Damage("state/desired/1.json", b"control", b"mallory", "1.json"),
        Damage("state/tokens.json", b"ci", b"xx", "tokens.json"),
        Damage("backup.json", b'"format": 1', b'"format": 2', "has format 2; this Driftgate reads 1"),
        Damage("backup.json", b"state/tokens.json", b"state/../../bad.json", "no file of a backup"),
        Damage("backup.json", b"{", b"", "damaged"),
    ],
    ids=lambda damage: damage.reason,
)
def test_a_damaged_backup_is_refused(saved: Path, tmp_path: Path, damage: Damage) -> None:
    """One altered file, or a path that leads elsewhere, and nothing at all is restored."""
    backup = tmp_path / "backup"
    shutil.copytree(saved, backup)
    data = (backup / damage.path).read_bytes()
    assert damage.old in data
    (backup / damage.path).write_bytes(data.replace(damage.old, damage.new, 1))
    code, _, problem = run(
        "restore", str(backup), "--state", str(tmp_path / "state"), "--registry", str(tmp_path / "registry")
    )
    assert code == 1
    assert damage.reason in problem
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["backup"]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A backup of a gateway with a split and a token."""
    root = tmp_path_factory.mktemp("saved")
    publish(root)
    gateway = start(root, (), 1, {})
    try:
        return split_and_backed_up(gateway)
    finally:
        end(gateway)
