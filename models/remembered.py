"""What was made of a file, kept until the file changes."""

import os
from collections.abc import Callable
from typing import Generic, TypeVar

from driftgate.models.files import Identity

T = TypeVar("T")
Key = tuple[str, int]


class Remembered(Generic[T]):
    """Values by key, each with the identity of the file that it was made of."""

    def __init__(self) -> None:
        self._known: dict[Key, tuple[Identity, T]] = {}
        self._used: set[Key] = set()

    def get(self, key: Key, directory: int, path: str, read: Callable[[], T]) -> T:
        """Return the value for the file at `path`, calling `read` only if the file is not the one known.

        Raises OSError if the file cannot be examined or read; nothing is remembered then.
        """
        identity = Identity.of(os.stat(path, dir_fd=directory, follow_symlinks=False))
        self._used.add(key)
        known = self._known.get(key)
        if known and known[0] == identity:
            return known[1]
        value = read()
        self._known[key] = (identity, value)
        return value

    def forget(self, key: Key) -> None:
        """Read the file of `key` again next time."""
        self._known.pop(key, None)

    def forget_unused(self) -> None:
        """Drop every value that was not asked for since the last call."""
        self._known = {key: self._known[key] for key in self._used if key in self._known}
        self._used = set()
