"""Published versions as others take them from here: the manifest to the byte, and the files in parts."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from driftgate.models.errors import RegistryError, VersionUnknown
from driftgate.models.remote.upload_types import PART_BYTES
from driftgate.models.schema.manifest import MANIFEST_FILE, MAX_MANIFEST_BYTES, decode_manifest
from driftgate.models.schema.names import check_model_name
from driftgate.models.storage.files import open_below, open_directory, read_below


class Downloads:
    """Reads versions of one registry; for any number of threads."""

    def __init__(self, registry: Path) -> None:
        self._registry = registry

    def manifest(self, model: str, version: int) -> bytes:
        """Return manifest.json of a version; raise VersionUnknown if there is none."""
        with self._version(model, version) as directory:
            return read_below(directory, MANIFEST_FILE, MAX_MANIFEST_BYTES)

    def part(self, model: str, version: int, number: int, offset: int) -> bytes:
        """Return at most PART_BYTES of file `number` of the manifest, from `offset` on; b"" past its end."""
        with self._version(model, version) as directory:
            manifest = decode_manifest(read_below(directory, MANIFEST_FILE, MAX_MANIFEST_BYTES))
            if not 0 <= number < len(manifest.files):
                raise VersionUnknown(f"{model} version {version} has no file {number}")
            with open_below(directory, manifest.files[number].path) as file:
                file.seek(offset)
                return file.read(PART_BYTES)

    @contextmanager
    def _version(self, model: str, version: int) -> Iterator[int]:
        try:
            with ExitStack() as stack:
                root = stack.enter_context(open_directory(self._registry))
                directory = stack.enter_context(open_directory(check_model_name(model), below=root))
                yield stack.enter_context(open_directory(str(version), below=directory))
        except FileNotFoundError as error:
            raise VersionUnknown(f"{model} version {version} is not in the registry, or not whole") from error
        except OSError as error:
            raise RegistryError(f"the registry cannot be read: {error.strerror}") from error
