"""From settings and manifests to what the prediction log needs, and the log of one slot.

The room that writes the log knows neither; here they are translated.
"""

import os
import secrets
from contextlib import suppress
from pathlib import Path

from driftgate.gateway.layout import StateLayout
from driftgate.gateway.logs import Logger
from driftgate.gateway.settings import LogSettings
from driftgate.models.registry.settings import ModelLogSettings
from driftgate.models.schema.manifest import Manifest
from driftgate.models.storage.durable import sync, write_synced
from driftgate.monitoring.log.counts import LogCounts
from driftgate.monitoring.log.policy import LogPolicy, ModelLogPolicy
from driftgate.monitoring.log.record import RecordedVersion, TensorColumns
from driftgate.monitoring.log.writer import LogWriter

KEY_BYTES = 32


def open_log(
    layout: StateLayout, slot: int, boot: str, settings: LogSettings, logger: Logger
) -> LogWriter | None:
    """Begin the log of a boot, or return None if it is switched off.

    Raises OSError if the directory cannot be made; a disk that is full later is the writer's matter.
    """
    if not settings.enabled:
        return None

    def on_problem(text: str) -> None:
        logger.error("prediction_log_failing", reason=text)

    policy = log_policy(settings, log_key(layout.log_key))
    return LogWriter.open(layout.log(slot), boot, policy, LogCounts(layout.log_counts(slot)), on_problem)


def log_key(path: Path) -> bytes:
    """Return the secret of the keyed hashes, the same for all slots of a state directory; made when missing.

    Whoever deletes it makes earlier hashes incomparable with later ones.
    """
    if not path.exists():
        unfinished = path.with_name(f".{path.name}-{os.getpid()}")
        unfinished.touch(0o600)
        write_synced(unfinished, secrets.token_bytes(KEY_BYTES))
        # Another slot may have been first; then its key is the one.
        with suppress(FileExistsError):
            os.link(unfinished, path)
        unfinished.unlink()
        sync(path.parent)
    return path.read_bytes()[:KEY_BYTES]


def log_policy(settings: LogSettings, key: bytes) -> LogPolicy:
    """Return how a slot's log is written."""
    return LogPolicy(
        key=key,
        mode=settings.mode,
        when_full=settings.when_full,
        quota_bytes=settings.quota_bytes,
        segment_bytes=settings.segment_bytes,
        buffer_rows=settings.buffer_rows,
        buffer_bytes=settings.buffer_bytes,
    )


def recorded_version(manifest: Manifest, settings: ModelLogSettings) -> RecordedVersion:
    """Return a version as the log knows it: columns by their names, outputs with their roles."""
    signature = manifest.signature
    return RecordedVersion(
        model=manifest.name,
        version=manifest.version,
        inputs=tuple(
            TensorColumns(spec.name, _input_columns(manifest, spec.name))
            for spec in manifest.signature.inputs
        ),
        outputs=tuple(_output_columns(manifest, spec.name) for spec in manifest.signature.outputs),
        policy=ModelLogPolicy(
            sample=settings.sample,
            drop=frozenset(settings.drop),
            hash=frozenset(settings.hash),
            max_text_bytes=settings.max_text_bytes,
            max_row_bytes=settings.max_row_bytes,
        ),
        features=_features(manifest),
        views=tuple(view.view for view in manifest.features.views) if manifest.features else (),
        filled=tuple(sorted(manifest.features.filled)) if manifest.features else (),
        has_texts=any(spec.datatype == "BYTES" for spec in (*signature.inputs, *signature.outputs)),
    )


def unknown_columns(manifest: Manifest, settings: ModelLogSettings) -> tuple[str, ...]:
    """Return the names in `drop` and `hash` that this version does not have: a slip of the pen, or a leak."""
    version = recorded_version(manifest, settings)
    tensors = (*version.inputs, *version.outputs)
    known = {tensor.name for tensor in tensors} | {name for tensor in tensors for name in tensor.columns}
    return tuple(name for name in (*settings.drop, *settings.hash) if name not in known)


def unrouted(model: str = "") -> RecordedVersion:
    """Return what requests are recorded under that reached no version."""
    return RecordedVersion(model, 0)


def _features(manifest: Manifest) -> tuple[str, ...]:
    return manifest.features.feature_names if manifest.features else ()


def _input_columns(manifest: Manifest, tensor: str) -> tuple[str, ...]:
    """Return the names of a tensor's elements; none if some of them have no name."""
    columns = sorted(
        (column.index or 0, column.name) for column in manifest.columns if column.input == tensor
    )
    complete = [index for index, _ in columns] == list(range(len(columns)))
    return tuple(name for _, name in columns) if complete else ()


def _output_columns(manifest: Manifest, tensor: str) -> TensorColumns:
    role = next((output.role for output in manifest.task.outputs if output.name == tensor), "")
    classes = manifest.task.classes if role == "probabilities" else None
    return TensorColumns(tensor, tuple(map(str, classes or ())), role)
