"""What commands on the store's files say when something is wrong, and how they end."""

import errno

import pytest

from driftgate.features.errors import SnapshotUnknown, StoreBusy, StoreFull
from driftgate.features.filling.tables import InvalidTable
from driftgate.gateway.cli.feature_places import telling
from driftgate.gateway.cli.refused import Refused


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (StoreBusy("loading is under way"), 4, "loading is under way"),
        (SnapshotUnknown("no snapshot 9"), 3, "no snapshot 9"),
        (StoreFull("rows cannot be written"), 1, "rows cannot be written"),
        (InvalidTable("no table"), 1, "no table"),
        (OSError(errno.ENOSPC, "No space left on device"), 1, "the disk is full"),
        (PermissionError(errno.EACCES, "Permission denied", "rows.csv"), 1, "rows.csv: Permission denied"),
    ],
)
def test_every_error_has_a_text_and_a_code(error: Exception, code: int, text: str) -> None:
    """Nobody sees a traceback; scripts tell busy from not there from failed."""
    with pytest.raises(Refused, match=text) as refused, telling():
        raise error
    assert refused.value.code == code
