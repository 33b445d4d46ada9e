"""The reference profile of a version that is being published: its columns named as the log will name them."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Literal

import numpy as np

from driftgate.gateway.serving.recording import recorded_version
from driftgate.models.publish.reference_rows import Rows
from driftgate.models.registry.settings import ModelLogSettings
from driftgate.models.schema.manifest import Manifest
from driftgate.monitoring.log.columns import TensorEntry, encoding_of, texts_of_list
from driftgate.monitoring.log.record import Array, TensorColumns
from driftgate.monitoring.reference.profile import StoredNames, encode_profile
from driftgate.monitoring.reference.sample import ReferenceSample, row_priorities
from driftgate.monitoring.windows.observed import Observed, columns_of


def reference_profile(manifest: Manifest, chunks: Iterable[Rows]) -> bytes:
    """Return the bytes of `profile.json` of a version, made from rows of inputs and outputs."""
    recorded = recorded_version(manifest, ModelLogSettings())
    null_texts = {one.name: one.missing_token for one in manifest.columns if one.missing_token is not None}
    sample = ReferenceSample(null_texts, StoredNames(recorded.features, recorded.views))
    filled = frozenset(recorded.filled)
    seen = 0
    for inputs, outputs in chunks:
        columns = [
            *_columns(recorded.inputs, inputs, "input", filled),
            *_columns(recorded.outputs, outputs, "output"),
        ]
        rows = len(next(iter(inputs.values())))
        sample.update(columns, row_priorities(seen, rows))
        seen += rows
    return encode_profile(sample.get("training"))


def _columns(
    tensors: Iterable[TensorColumns],
    arrays: Mapping[str, Array],
    role: Literal["input", "output"],
    filled: frozenset[str] = frozenset(),
) -> Iterator[Observed]:
    for tensor in tensors:
        array = arrays[tensor.name]
        encoding, dtype = encoding_of(array.dtype)
        entry = TensorEntry(
            name=tensor.name,
            role=role,
            encoding=encoding,
            dtype=dtype,
            shape=array.shape[1:],
            columns=tensor.columns,
            meaning=tensor.role,
        )
        values = texts_of_list(array.ravel().tolist()) if encoding == "text" else np.asarray(array)
        yield from columns_of(entry, values, filled)
