"""Versions come, go, break and vanish while clients ask: nobody notices but by the version that answers."""

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from driftgate.models.publish.onnx_file import Published

from harness.gateway import Gateway, until
from harness.versioned import versioned_traffic

Start = Callable[..., Gateway]
Publish = Callable[..., Published]

QUICK = {"DRIFTGATE__TIMING__REGISTRY_POLL_S": "0.1"}
SWAPS = 50
SWITCH_S = 0.2
"""Commit to the last answer of the version before, on workers that run."""
REASON_S = 0.1 + 2.0
"""A registry poll and what it takes to find a reason."""


def publish_up_to(publish: Publish, newest: int) -> None:
    """Publish versions 1 to `newest`; version v gives v times the sum of its inputs."""
    for version in range(1, newest + 1):
        publish("m", version=version, scale=float(version))


def promote(gateway: Gateway, version: int) -> None:
    """Promote a version and wait until that is committed."""
    answer = gateway.admin("POST", "/api/models/m/promote", {"version": version})
    assert answer.status_code == 200, answer.text


def stable(gateway: Gateway) -> int:
    """The version that has the traffic."""
    return int(gateway.model("m")["labels"]["stable"])


def reason(gateway: Gateway, version: int) -> str:
    """Why a version is not served; empty if there is no reason, or no such version."""
    versions = gateway.model("m")["versions"]
    return next((str(item["reason"]) for item in versions if item["version"] == version), "")


def test_swaps_are_invisible(start_gateway: Start, publish_version: Publish, registry_root: Path) -> None:
    """Fifty swaps under load: no request fails and every answer is that of the version which it names."""
    publish_up_to(publish_version, 2)
    (registry_root / "m" / "model.toml").write_text("[versions]\nlatest = 2\n")
    gateway = start_gateway(workers=2, environment=QUICK)
    with versioned_traffic(gateway.ports.data, "m") as seen:
        until(lambda: len(seen.answers) > 100, 10, "traffic flows")
        for swap in range(SWAPS):
            promote(gateway, 1 + swap % 2)
    assert seen.failures == []
    assert seen.versions() == {1, 2}


def test_new_versions_take_over_by_themselves(
    start_gateway: Start, publish_version: Publish, registry_root: Path
) -> None:
    """With promote = auto each published version gets the traffic without a failed request."""
    publish_up_to(publish_version, 1)
    (registry_root / "m" / "model.toml").write_text('promote = "auto"\n')
    gateway = start_gateway(workers=2, environment=QUICK)
    with versioned_traffic(gateway.ports.data, "m") as seen:
        for version in range(2, 6):
            publish_version("m", version=version, scale=float(version))
            until(lambda: version in seen.versions(), 10, f"version {version} answers")  # noqa: B023 - used at once
    assert seen.failures == []


@pytest.mark.alone
def test_all_workers_switch_together(start_gateway: Start, publish_version: Publish) -> None:
    """A rollback to a resident version is one call, and in force on every worker within 200 ms."""
    publish_up_to(publish_version, 1)
    gateway = start_gateway(workers=2, environment=QUICK)
    publish_version("m", version=2, scale=2.0)
    gateway.wait_version("m", 2)
    with versioned_traffic(gateway.ports.data, "m") as seen:
        promote(gateway, 2)
        until(lambda: 2 in seen.versions(), 5, "version 2 answers")
        assert gateway.admin("POST", "/api/models/m/rollback").status_code == 200
        switched_at = time.monotonic()
        until(lambda: len(seen.sent_after(switched_at + SWITCH_S)) > 100, 10, "traffic flows")
    assert {answer.version for answer in seen.sent_after(switched_at + SWITCH_S)} == {1}
    assert seen.failures == []


def truncate(version: Path) -> None:
    """Cut the model in half."""
    model = version / "model.onnx"
    os.truncate(model, model.stat().st_size // 2)


def flip(version: Path) -> None:
    """Flip one bit."""
    model = version / "model.onnx"
    data = bytearray(model.read_bytes())
    data[len(data) // 2] ^= 1
    model.write_bytes(data)


def zero(version: Path) -> None:
    """Keep the size and lose the content."""
    model = version / "model.onnx"
    model.write_bytes(bytes(model.stat().st_size))


def web_page(version: Path) -> None:
    """What a proxy saves in place of a model."""
    (version / "model.onnx").write_text("<html>404</html>")


def link(version: Path) -> None:
    """A symbolic link to a good model."""
    (version / "model.onnx").rename(version / "elsewhere")
    (version / "model.onnx").symlink_to("elsewhere")


def pipe(version: Path) -> None:
    """A FIFO, which would block whoever opens it."""
    (version / "model.onnx").unlink()
    os.mkfifo(version / "model.onnx")


def missing(version: Path) -> None:
    """No model at all."""
    (version / "model.onnx").unlink()


def cut_manifest(version: Path) -> None:
    """Half a manifest."""
    manifest = version / "manifest.json"
    manifest.write_bytes(manifest.read_bytes()[:-20])


DAMAGES = (truncate, flip, zero, web_page, link, pipe, missing, cut_manifest)


def test_a_bad_version_never_replaces_a_good_one(
    start_gateway: Start, publish_version: Publish, registry_root: Path, tmp_path: Path
) -> None:
    """Corrupted drops of every kind: none is served, no request fails, each reason is visible in time."""
    publish_up_to(publish_version, 1 + len(DAMAGES))
    drops = tmp_path / "drops"
    drops.mkdir()
    for version in range(2, 2 + len(DAMAGES)):
        (registry_root / "m" / str(version)).rename(drops / str(version))
    (registry_root / "m" / "model.toml").write_text('promote = "auto"\n')
    gateway = start_gateway(workers=1, environment=QUICK)
    late = []
    with versioned_traffic(gateway.ports.data, "m", clients=2) as seen:
        for version, damage in enumerate(DAMAGES, start=2):
            damage(drops / str(version))
            (drops / str(version)).rename(registry_root / "m" / str(version))
            dropped_at = time.monotonic()
            until(lambda: reason(gateway, version), 15, f"a reason against {damage.__name__}")  # noqa: B023 - used at once
            if time.monotonic() - dropped_at > REASON_S:
                late.append(damage.__name__)
    assert (seen.failures, seen.versions()) == ([], {1})
    assert (stable(gateway), late) == (1, [])


def test_a_half_copied_version_is_not_there(
    start_gateway: Start, publish_version: Publish, registry_root: Path, tmp_path: Path
) -> None:
    """Until its manifest is complete a version is neither tried nor listed; then it is loaded."""
    publish_up_to(publish_version, 1)
    publish_version("m", version=2, scale=2.0)
    whole = tmp_path / "whole"
    (registry_root / "m" / "2").rename(whole)
    gateway = start_gateway(environment=QUICK)
    copy = registry_root / "m" / "2"
    copy.mkdir()
    for name in sorted(path.name for path in whole.iterdir() if path.name != "manifest.json"):
        data = (whole / name).read_bytes()
        for end in range(0, len(data), max(1, len(data) // 3)):
            (copy / name).write_bytes(data[:end])
            time.sleep(0.15)  # longer than a poll of the registry: the copy is slow, nothing is waited for
        shutil.copy(whole / name, copy / name)
        assert [item["version"] for item in gateway.model("m")["versions"]] == [1]
    assert "version_refused" not in gateway.log.read_text()
    shutil.copy(whole / "manifest.json", copy / "manifest.json")
    gateway.wait_version("m", 2)


@pytest.mark.parametrize("loss", ["renamed away", "emptied"])
def test_serving_goes_on_without_the_registry(
    start_gateway: Start, publish_version: Publish, registry_root: Path, tmp_path: Path, loss: str
) -> None:
    """The registry vanishes: no request fails, and a cold start serves the last good state."""
    publish_up_to(publish_version, 1)
    gateway = start_gateway(environment=QUICK)
    with versioned_traffic(gateway.ports.data, "m", clients=2) as seen:
        until(lambda: seen.answers, 10, "traffic flows")
        registry_root.rename(tmp_path / "away")
        if loss == "emptied":
            registry_root.mkdir()
        else:
            until(lambda: gateway.admin("GET", "/api/state").json()["problems"], 5, "the loss is shown")
        before = len(seen.answers)
        until(lambda: len(seen.answers) > before + 200, 10, "traffic goes on")
    assert seen.failures == []
    assert gateway.stop() == 0
    again = start_gateway(environment=QUICK)
    answer = again.infer("m", [[1, 2, 3, 4]])
    assert (answer.status_code, answer.json()["outputs"][0]["data"]) == (200, [10.0])
