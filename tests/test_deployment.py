"""The container and the Kubernetes manifests agree with the gateway's own defaults."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from driftgate.gateway.settings import ServerSettings, TimingSettings

ROOT = Path(__file__).parent.parent
MANIFESTS = ROOT / "deploy" / "kubernetes"
DOCKERFILE = (ROOT / "Dockerfile").read_text()


def manifest(name: str) -> dict[str, Any]:
    """Return one parsed manifest."""
    document = yaml.safe_load((MANIFESTS / name).read_text())
    assert isinstance(document, dict)
    return document


@pytest.fixture(name="pod")
def pod_fixture() -> dict[str, Any]:
    """Return the specification of the gateway's pod."""
    spec = manifest("gateway.yaml")["spec"]["template"]["spec"]
    assert isinstance(spec, dict)
    return spec


def test_kustomization_lists_every_manifest() -> None:
    """The kustomization names all manifests beside it and nothing else."""
    others = {path.name for path in MANIFESTS.glob("*.yaml")} - {"kustomization.yaml"}
    assert set(manifest("kustomization.yaml")["resources"]) == others


def test_container_ports_are_the_defaults(pod: dict[str, Any]) -> None:
    """The pod opens the data and the metrics port; the admin port stays inside it."""
    ports = {port["name"]: port["containerPort"] for port in pod["containers"][0]["ports"]}
    assert ports == {"predictions": ServerSettings().port, "metrics": ServerSettings().metrics_port}


@pytest.mark.parametrize("probe", ["startupProbe", "readinessProbe", "livenessProbe"])
def test_probes_ask_the_metrics_port(pod: dict[str, Any], probe: str) -> None:
    """Every probe asks the port that answers while control is dead."""
    request = pod["containers"][0][probe]["httpGet"]
    assert request["port"] == "metrics"
    assert request["path"] == ("/health/live" if probe == "livenessProbe" else "/health/ready")


def test_service_points_at_named_ports(pod: dict[str, Any]) -> None:
    """The service's ports carry the numbers and the names that the container gives them."""
    ports = {port["targetPort"]: port["port"] for port in manifest("service.yaml")["spec"]["ports"]}
    assert ports == {port["name"]: port["containerPort"] for port in pod["containers"][0]["ports"]}


def test_one_gateway_owns_the_volume() -> None:
    """One replica, because one gateway owns one state directory."""
    assert manifest("gateway.yaml")["spec"]["replicas"] == 1


def test_pod_is_locked_down(pod: dict[str, Any]) -> None:
    """The pod runs without root, capabilities, a writable root, service variables and an API token."""
    container = pod["containers"][0]["securityContext"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["readOnlyRootFilesystem"] is True
    assert container["allowPrivilegeEscalation"] is False
    assert container["capabilities"] == {"drop": ["ALL"]}
    assert pod["enableServiceLinks"] is False
    assert pod["automountServiceAccountToken"] is False


def test_pod_waits_for_the_drain(pod: dict[str, Any]) -> None:
    """Kubernetes' patience is longer than the gateway's own grace period."""
    assert pod["terminationGracePeriodSeconds"] > TimingSettings().grace_s


def test_container_and_pod_agree(pod: dict[str, Any]) -> None:
    """User and data directory are the same in the Dockerfile and in the manifests."""
    user = pod["securityContext"]["runAsUser"]
    assert f"USER {user}:{user}" in DOCKERFILE
    assert pod["containers"][0]["volumeMounts"][0]["mountPath"] in DOCKERFILE


def test_container_keeps_admin_on_loopback() -> None:
    """The container opens predictions and metrics, and never the admin API."""
    command = re.search(r"^CMD (.*)$", DOCKERFILE, re.MULTILINE)
    assert command is not None
    assert "--host" in command.group(1)
    assert "--metrics-host" in command.group(1)
    assert "admin" not in command.group(1)
    assert f"127.0.0.1:{ServerSettings().metrics_port}/health/ready" in DOCKERFILE
