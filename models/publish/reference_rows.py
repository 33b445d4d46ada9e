"""Reference rows as the model sees them: its inputs and its answers, in chunks, to be profiled."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from driftgate.models.convert.frames import signature_feeds
from driftgate.models.convert.originals import is_arrays
from driftgate.models.errors import InvalidInput, RunError
from driftgate.models.run.runtime import Array, Session
from driftgate.models.schema.manifest import Manifest
from driftgate.models.schema.signature import DATATYPES

MOST_ROWS = 100_000
"""More rows than this are thinned out: a profile of so many knows its shares to a third of a percent."""
CHUNK_ROWS = 8192

Rows = tuple[Mapping[str, Array], Mapping[str, Array]]
"""Inputs and outputs by tensor name."""
Profiler = Callable[[Manifest, Iterator[Rows]], bytes]
"""Turns the rows of a version into the bytes of its `profile.json`."""


def profiled(profiler: Profiler, reference: Any, session: Session, manifest: Manifest) -> bytes:
    """Return the profile of reference rows; raise InvalidInput where the model cannot take them."""
    return profiler(manifest, reference_rows(session, manifest, reference))


def reference_rows(session: Session, manifest: Manifest, reference: Any) -> Iterator[Rows]:
    """Yield the rows of a data frame, or of arrays by input name, with the model's answers to them.

    Raises InvalidInput where the model cannot take them.
    """
    signature = manifest.signature
    count = min(map(len, reference.values())) if is_arrays(reference) else len(reference)
    for chosen in _chunks(count):
        if is_arrays(reference):
            feeds = {
                spec.name: np.asarray(reference[spec.name])[chosen].astype(DATATYPES[spec.datatype].dtype)
                for spec in signature.inputs
            }
        else:
            feeds = signature_feeds(signature, manifest.columns, reference.iloc[chosen])
        yield feeds, _answers(session, feeds)


def _chunks(rows: int) -> Iterator[Array]:
    chosen = np.arange(rows)
    if rows > MOST_ROWS:
        chosen = np.sort(np.random.default_rng(0).choice(rows, MOST_ROWS, replace=False))
    for start in range(0, len(chosen), CHUNK_ROWS):
        yield chosen[start : start + CHUNK_ROWS]


def _answers(session: Session, feeds: Mapping[str, Array]) -> Mapping[str, Array]:
    names = [spec.name for spec in session.signature.outputs]
    try:
        return dict(zip(names, session.run(feeds), strict=True))
    except RunError as error:
        raise InvalidInput(f"the model fails on its reference rows: {error}") from error
