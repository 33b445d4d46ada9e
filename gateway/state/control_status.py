"""What control says of what it sees, in a small file that it alone writes, for metrics."""

from pathlib import Path

import msgspec

from driftgate.gateway.formats import other_format

FORMAT = 1
MOST_VERSIONS = 1000


class RefusedVersion(msgspec.Struct, frozen=True, array_like=True):
    """A published version that is not served, and why."""

    model: str
    version: int
    reason: str


class ServedVersion(msgspec.Struct, frozen=True, array_like=True):
    """A version with traffic: when it was made, in Unix seconds (0: nobody knows)."""

    model: str
    version: int
    created_s: int


class ControlStatus(msgspec.Struct, frozen=True):
    """`registry_problem` says why the registry cannot be read, if so. `max_age_s`: the limits of models."""

    format: int = FORMAT
    registry_problem: str = ""
    refused: tuple[RefusedVersion, ...] = ()
    served: tuple[ServedVersion, ...] = ()
    max_age_s: dict[str, int] = {}


def read_control_status(path: Path) -> ControlStatus | None:
    """Return what control last said, or None if that is nothing readable."""
    try:
        data = path.read_bytes()
        return None if other_format(data, FORMAT) else msgspec.json.decode(data, type=ControlStatus)
    except (OSError, msgspec.MsgspecError):
        return None
