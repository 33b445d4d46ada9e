"""Which records somebody wants, and where they cannot be. Pure."""

import uuid
from dataclasses import dataclass

from driftgate.monitoring.archive.files import ArchiveFile
from driftgate.monitoring.log.blocks import BlockHeader

UUID_VERSION = 7


@dataclass(frozen=True)
class RecordFilter:
    """What records must be like; None is no condition. Unix microseconds; `until_us` is excluded."""

    model: str | None = None
    version: int | None = None
    arm: str | None = None
    code: int | None = None
    prediction_id: str | None = None
    since_us: int | None = None
    until_us: int | None = None
    purposes: tuple[str, ...] | None = None

    def may_be_in(self, file: ArchiveFile) -> bool:
        """Tell whether a file may hold such records."""
        return self._may(file.model, file.version, file.first_us, file.last_us)

    def may_be_in_block(self, header: BlockHeader) -> bool:
        """Tell whether a block may hold such records."""
        return self._may(header.model, header.version, header.first_us, header.last_us)

    def _may(self, model: str, version: int, first_us: int, last_us: int) -> bool:
        return (
            self.model in (None, model)
            and self.version in (None, version)
            and (self.since_us is None or last_us >= self.since_us)
            and (self.until_us is None or first_us < self.until_us)
        )


def arrival_us(prediction_id: str) -> int:
    """Return when a prediction's request arrived, to the millisecond; raise ValueError if it is no id."""
    found = uuid.UUID(prediction_id)
    if found.version != UUID_VERSION:
        raise ValueError("not a prediction id")
    return (found.int >> 80) * 1000
