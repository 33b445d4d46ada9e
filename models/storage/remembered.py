"""What was made of files, kept until they change."""

from typing import Generic, TypeVar

T = TypeVar("T")
Key = tuple[str, int]


class Remembered(Generic[T]):
    """Values by key, each with the identity of what it was made of."""

    def __init__(self) -> None:
        self._known: dict[Key, tuple[object, T]] = {}
        self._used: set[Key] = set()

    def get(self, key: Key, identity: object) -> T | None:
        """Return the value kept for `key`, or None if there is none or it was made of something else."""
        self._used.add(key)
        known = self._known.get(key)
        return known[1] if known and known[0] == identity else None

    def keep(self, key: Key, identity: object, value: T) -> T:
        """Keep a value in place of any other for `key`, and return it."""
        self._known[key] = (identity, value)
        return value

    def forget(self, key: Key) -> None:
        """Have nothing for `key`; may be called from any thread."""
        self._known.pop(key, None)

    def forget_unused(self) -> None:
        """Drop every value that was not asked for since the last call."""
        self._known = {key: known for key, known in list(self._known.items()) if key in self._used}
        self._used = set()
