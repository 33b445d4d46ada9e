"""The private cache: verified copies of versions, each in a directory named by its digest.

A directory with that name is complete: it is filled under a hidden name and then renamed. Nothing is ever
loaded from anywhere else.
"""

import os
import shutil
import tempfile
from pathlib import Path

from driftgate.models.errors import RegistryError
from driftgate.models.registry.snapshot import PublishedVersion, RegistrySource
from driftgate.models.schema.manifest import Manifest
from driftgate.models.storage.durable import sync
from driftgate.models.storage.transfer import is_digest, verify_version

_COMING = ".coming-"
_LEAVING = ".leaving-"
_SPARE_BYTES = 2**20


class VersionCache:
    """Directories named by digest below `root`. Many may read; one process adds, removes and sweeps."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, digest: str) -> Path:
        """Return where the version with this digest is, if it is here."""
        if not is_digest(digest):
            raise ValueError(f"{digest!r} is not a SHA-256 in hex")
        return self.root / digest

    def add(self, source: RegistrySource, published: PublishedVersion) -> Path:
        """Copy a version in, unless it is here, and return its directory.

        Raises UnsafeFile if a file is not what the manifest says, RegistryError if it cannot be copied; what
        was copied of it is gone again then.
        """
        final = self.path(published.digest)
        if final.is_dir():
            return final
        try:
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._check_space(published.manifest)
            coming = Path(tempfile.mkdtemp(prefix=_COMING, dir=self.root))
        except OSError as error:
            raise RegistryError(f"the cache cannot be written: {error.strerror}") from error
        try:
            source.fetch(published, coming / "version")
            self._publish(coming / "version", final)
        finally:
            shutil.rmtree(coming, ignore_errors=True)
        return final

    def verify(self, digest: str) -> Manifest:
        """Hash every file of a version again and return its manifest.

        Raises UnsafeFile if it is not what it was, RegistryError if it is not here or cannot be read.
        """
        try:
            return verify_version(self.path(digest))[0]
        except OSError as error:
            raise RegistryError(f"the cached copy cannot be read: {error.strerror}") from error

    def remove(self, digest: str) -> None:
        """Delete a version; sessions that have it open keep working. Does nothing if it is not here."""
        leaving = self.root / f"{_LEAVING}{digest}"
        shutil.rmtree(leaving, ignore_errors=True)
        try:
            os.rename(self.path(digest), leaving)
        except FileNotFoundError:
            return
        shutil.rmtree(leaving, ignore_errors=True)

    def digests(self) -> frozenset[str]:
        """Return the digests of all versions that are here."""
        try:
            return frozenset(name for name in os.listdir(self.root) if is_digest(name))
        except FileNotFoundError:
            return frozenset()

    def sweep(self) -> None:
        """Delete what an earlier owner left half-made. Only for the one process that adds, at its start."""
        for path in (*self.root.glob(f"{_COMING}*"), *self.root.glob(f"{_LEAVING}*")):
            shutil.rmtree(path, ignore_errors=True)

    def _check_space(self, manifest: Manifest) -> None:
        free = shutil.disk_usage(self.root).free
        if manifest.size_bytes + _SPARE_BYTES > free:
            raise RegistryError(
                f"the disk of the cache is full: the version has {manifest.size_bytes} bytes, {free} are "
                f"free, and {_SPARE_BYTES} of them are kept for the gateway's own files"
            )

    def _publish(self, complete: Path, final: Path) -> None:
        try:
            os.rename(complete, final)
            sync(self.root)
        except OSError as error:
            if not final.is_dir():
                raise RegistryError(f"the cache cannot be written: {error.strerror}") from error
