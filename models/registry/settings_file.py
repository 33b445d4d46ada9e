"""Replace a model's `model.toml` in a registry that others can write to: whole, durably, through no link."""

import contextlib
import os

from driftgate.models.errors import RegistryError
from driftgate.models.registry.settings import MAX_SETTINGS_BYTES, SETTINGS_FILE
from driftgate.models.storage.durable import NEW
from driftgate.models.storage.files import open_directory, read_below

_UNFINISHED = f".{SETTINGS_FILE}.unfinished"
READABLE = 0o644


def write_settings(registry: "os.PathLike[str]", model: str, text: str) -> None:
    """Replace `<registry>/<model>/model.toml`; the model's directory must be there.

    Raises UnsafeFile where a link is in the way, RegistryError where it cannot be written.
    """
    try:
        with open_directory(os.fspath(registry)) as root, open_directory(model, below=root) as directory:
            _replace(directory, text.encode())
    except OSError as error:
        raise RegistryError(
            f"{model}/{SETTINGS_FILE} cannot be written ({error.strerror}): make the registry writable for "
            "the gateway, or change the file where the registry comes from"
        ) from error


def read_settings_text(registry: "os.PathLike[str]", model: str) -> str | None:
    """Return the text of a model's `model.toml`, None where there is none or it is no text.

    Raises UnsafeFile or RegistryError where it cannot be read.
    """
    try:
        with open_directory(os.fspath(registry)) as root, open_directory(model, below=root) as directory:
            return read_below(directory, SETTINGS_FILE, MAX_SETTINGS_BYTES).decode()
    except (FileNotFoundError, UnicodeDecodeError):
        return None
    except OSError as error:
        raise RegistryError(f"{model}/{SETTINGS_FILE} cannot be read: {error.strerror}") from error


def _replace(directory: int, data: bytes) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(_UNFINISHED, dir_fd=directory)
    with open(os.open(_UNFINISHED, NEW, READABLE, dir_fd=directory), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.rename(_UNFINISHED, SETTINGS_FILE, src_dir_fd=directory, dst_dir_fd=directory)
    os.fsync(directory)
