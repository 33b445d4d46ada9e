"""The gateway under the variables that Kubernetes injects for a service called driftgate."""

from collections.abc import Callable
from typing import Any

INJECTED = {
    "DRIFTGATE_PORT": "tcp://10.0.0.1:8000",
    "DRIFTGATE_PORT_8000_TCP": "tcp://10.0.0.1:8000",
    "DRIFTGATE_PORT_8000_TCP_ADDR": "10.0.0.1",
    "DRIFTGATE_PORT_8000_TCP_PORT": "8000",
    "DRIFTGATE_PORT_8000_TCP_PROTO": "tcp",
    "DRIFTGATE_SERVICE_HOST": "10.0.0.1",
    "DRIFTGATE_SERVICE_PORT": "8000",
    "DRIFTGATE_SERVICE_PORT_METRICS": "8002",
    "DRIFTGATE_SERVICE_PORT_PREDICTIONS": "8000",
}


def test_starts_beside_a_service_of_its_own_name(start_gateway: Callable[..., Any]) -> None:
    """Variables of a service called driftgate are no settings: the gateway becomes ready and stops with 0."""
    gateway = start_gateway(environment=INJECTED)
    assert gateway.ready()
    assert gateway.stop() == 0
