"""A version in memory: checked against its manifest, warmed, and freed after its last request."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from driftgate.models.errors import InvalidInput, InvalidManifest, LoadError, RunError
from driftgate.models.run.cost import CostModel, measure_latency, predicted
from driftgate.models.run.examples import load_examples
from driftgate.models.run.golden import check_examples
from driftgate.models.run.reproduce import check_reproduced
from driftgate.models.run.runtime import Array, Session
from driftgate.models.run.synthetic import synthetic_rows
from driftgate.models.schema.manifest import EXAMPLES_FILE, MODEL_FILE, Manifest
from driftgate.models.schema.signature import Signature
from driftgate.models.storage.transfer import verify_version

__all__ = ["CostModel", "LoadedVersion", "Trial", "try_version"]


@dataclass(frozen=True)
class Trial:
    """A session that does what its manifest promises, and what was measured on the way.

    `latency_s` is the best time of a call by number of rows; `golden_difference` the largest difference to
    the golden outputs, 0.0 where there are none.
    """

    manifest: Manifest
    digest: str
    session: Session
    latency_s: Mapping[int, float]
    golden_difference: float


def try_version(directory: Path, threads: int) -> Trial:
    """Verify, open, compare with the golden examples and time the version in `directory`.

    Raises LoadError, UnsafeFile or InvalidManifest with a reason for people.
    """
    manifest, digest, session = _open(directory, threads)
    if session.signature != manifest.signature:
        raise LoadError(_signature_problem(manifest.signature, session.signature))
    if manifest.golden is None:
        inputs: Mapping[str, Array] = synthetic_rows(session.signature)
        difference = 0.0
    else:
        inputs, difference = _reproduce(directory, manifest, session)
    return Trial(manifest, digest, session, measure_latency(session, inputs), difference)


class LoadedVersion:
    """A loaded version with counted handles.

    `load` runs in any thread. Everything that counts handles (`acquire`, `release`, `retire`, `in_use`) is
    called from one thread, the event loop's; `run` from any thread that holds a handle.
    """

    def __init__(self, trial: Trial) -> None:
        self.manifest = trial.manifest
        self.model = trial.manifest.name
        self.version = trial.manifest.version
        self.digest = trial.digest
        self.signature: Signature = trial.session.signature
        self.cost = predicted(trial.latency_s)
        self.in_use = 0
        self._session: Session | None = trial.session
        self._on_free: Callable[[], None] | None = None

    @classmethod
    def load(cls, directory: Path, threads: int) -> "LoadedVersion":
        """Load the version in a cache directory, warm it and check its golden outputs.

        Raises LoadError, UnsafeFile or InvalidManifest with a reason for people.
        """
        return cls(try_version(directory, threads))

    def run(self, feeds: Mapping[str, Array], outputs: Sequence[str] | None = None) -> list[Array]:
        """Return the named outputs (None: all, in signature order); raise RunError if the graph refuses."""
        if self._session is None:
            raise RuntimeError(f"{self.model}/{self.version} was run without a handle after it was freed")
        return self._session.run(feeds, outputs)

    def acquire(self) -> None:
        """Take a handle: the session stays until it is released. Raises RuntimeError once retired."""
        if self._on_free is not None:
            raise RuntimeError(f"{self.model}/{self.version} is retired; read the routing table again")
        self.in_use += 1

    def release(self) -> None:
        """Give a handle back."""
        if self.in_use <= 0:
            raise RuntimeError(f"{self.model}/{self.version}: released more often than acquired")
        self.in_use -= 1
        self._free_if_unused()

    def retire(self, on_free: Callable[[], None]) -> None:
        """Give no more handles; after the last one is back, free the session and call `on_free`.

        Both happen in a thread of their own, because freeing a large session takes a while.
        """
        if self._on_free is not None:
            raise RuntimeError(f"{self.model}/{self.version} is retired already")
        self._on_free = on_free
        self._free_if_unused()

    def _free_if_unused(self) -> None:
        if self._on_free is None or self.in_use or self._session is None:
            return
        last = [self._session]  # a list, so that the thread alone drops the last reference
        self._session = None
        threading.Thread(target=_free, args=(last, self._on_free), name="free-session", daemon=True).start()


def _free(last: list[Session], on_free: Callable[[], None]) -> None:
    last.clear()
    on_free()


def _open(directory: Path, threads: int) -> tuple[Manifest, str, Session]:
    try:
        manifest, digest = verify_version(directory)
    except OSError as error:
        raise LoadError(f"the cached copy cannot be read: {error.strerror}") from error
    return manifest, digest, Session(directory / MODEL_FILE, threads)


def _reproduce(directory: Path, manifest: Manifest, session: Session) -> tuple[Mapping[str, Array], float]:
    """Run the golden inputs; return them and the largest difference of their outputs."""
    if manifest.golden is None or EXAMPLES_FILE not in {entry.path for entry in manifest.files}:
        raise LoadError(f"the manifest promises golden examples, but lists no {EXAMPLES_FILE}")
    try:
        inputs, expected = load_examples(directory / EXAMPLES_FILE)
        inputs = check_examples(session.signature, inputs)
        outputs = session.run(inputs)
    except (InvalidManifest, InvalidInput, RunError) as error:
        raise LoadError(f"the golden examples cannot be run: {error}") from error
    names = [spec.name for spec in session.signature.outputs]
    found = dict(zip(names, outputs, strict=True))
    return inputs, check_reproduced(manifest.golden, expected, found)


def _signature_problem(promised: Signature, found: Signature) -> str:
    for side in ("inputs", "outputs"):
        pairs = zip(getattr(promised, side), getattr(found, side), strict=False)
        for one, other in pairs:
            if one != other:
                return (
                    f"the model's {side} are not the manifest's: {other.name!r} is {other.datatype} "
                    f"{list(other.shape)}, and the manifest has {one.name!r}, "
                    f"{one.datatype} {list(one.shape)}"
                )
        if len(getattr(promised, side)) != len(getattr(found, side)):
            return f"the model's {side} are not the manifest's: their number differs"
    return "the model's signature is not the manifest's"
