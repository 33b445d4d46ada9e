"""What can go wrong around features.

FeatureError
├── InvalidView       a declaration that is malformed; names the file and the line
├── InvalidKey        join-key values that do not fit the view
├── InvalidRows       rows that cannot be written; names feature and row
│   └── TooManyRows       more than may be written at once
└── StoreError        between us and the store
    ├── StoreFull     the disk has no room; what was written before is intact
    ├── StoreBusy     another process loads this view or writes its pushes
    ├── StoreUnavailable  no answer from the store, or from the process that writes pushes
    ├── StoreDamaged  a file of the store that is not what it should be, or of a newer Driftgate
    └── SnapshotUnknown   no such snapshot
"""


class FeatureError(Exception):
    """Base of all errors of this room; its text can be shown to a person as it is."""


class InvalidView(FeatureError):
    """A feature view that is malformed; the text names the place."""


class InvalidKey(FeatureError):
    """Join-key values of the wrong number, type or length; the text names the join key."""


class InvalidRows(FeatureError):
    """Rows that do not fit their view; the text names feature and row."""


class TooManyRows(InvalidRows):
    """More rows than one push may have; the text names the limit."""


class StoreError(FeatureError):
    """Base of what goes wrong between us and a feature store."""


class StoreFull(StoreError):
    """The disk has no room; nothing of what was to be written is there, all that was before is."""


class StoreBusy(StoreError):
    """Somebody else is writing what only one process may write."""


class StoreUnavailable(StoreError):
    """The store, or the process that writes pushes, does not answer."""


class StoreDamaged(StoreError):
    """A file of the store is damaged, or was written by a newer Driftgate."""


class SnapshotUnknown(StoreError):
    """The view has no such snapshot."""
