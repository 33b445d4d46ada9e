"""Open a version directory, or a bare ONNX file, on trial: as a worker opens it, without a server."""

import tempfile
from pathlib import Path

from driftgate.models.errors import LoadError
from driftgate.models.publish.onnx_file import publish_file
from driftgate.models.run.loaded import Trial, try_version
from driftgate.models.schema.manifest import MANIFEST_FILE


def open_on_trial(path: Path) -> Trial:
    """Verify, open, compare with the golden outputs and time what is at `path`.

    `path` is a version directory (`registry/fraud/3`), a file in one, or an ONNX file of its own.
    Raises LoadError, UnsafeFile or InvalidManifest; for a bare file also ConversionError.
    """
    directory = path.parent if (path.parent / MANIFEST_FILE).is_file() and path.is_file() else path
    if directory.is_file():
        return _open_bare(directory)
    if not (directory / MANIFEST_FILE).is_file():
        raise LoadError(
            f"{path} is no version: give a directory that holds {MANIFEST_FILE} (such as registry/NAME/1), "
            "or an ONNX file"
        )
    return try_version(directory, threads=1)


def _open_bare(model: Path) -> Trial:
    """Publish the file into a directory that is gone when this returns: an open session needs it no more."""
    with tempfile.TemporaryDirectory(prefix="driftgate-") as registry:
        published = publish_file(model, name="model", registry=Path(registry))
        return try_version(published.directory, threads=1)
