"""What publisher and gateway tell each other while a version is uploaded, part by part."""

import msgspec

NEXT_NUMBER = 0
"""The version in a manifest that is to get the next number of its model."""

PART_BYTES = 4 * 2**20
"""A part is held in memory whole: small enough for that, large enough that its round trip hardly counts."""


class PlacedVersion(msgspec.Struct, frozen=True, omit_defaults=True):
    """A version in the registry. `created` is False where the same content was already there.

    `waits_for` says what it lacks, such as a feature view, before it can be READY; "" if nothing is known.
    """

    name: str
    version: int
    digest: str
    created: bool
    waits_for: str = ""


class FileProgress(msgspec.Struct, frozen=True):
    """How much of one file has arrived; files are numbered from 0, as the manifest lists them."""

    path: str
    size_bytes: int
    received_bytes: int


class UploadProgress(msgspec.Struct, frozen=True):
    """An open upload and what is still missing of it.

    With `published` nothing is: the version is there and no upload was opened. A part has at most
    `part_bytes`.
    """

    upload: str
    files: tuple[FileProgress, ...]
    part_bytes: int
    published: PlacedVersion | None = None
