"""`manifest.json`: what a model version is and what its numbers mean.

A version without a complete manifest does not exist. A manifest with features has BOUND_FORMAT, so that a
reader that does not know them refuses it instead of asking clients for what is stored; others have FORMAT.
"""

import hashlib
from typing import Literal

import msgspec

from driftgate.models.errors import InvalidManifest
from driftgate.models.schema.binding import FeatureBinding, binding_problems
from driftgate.models.schema.names import check_model_name
from driftgate.models.schema.signature import Signature

FORMAT = 1
BOUND_FORMAT = 2
MANIFEST_FILE = "manifest.json"
MODEL_FILE = "model.onnx"
EXAMPLES_FILE = "examples.npz"
PROFILE_FILE = "profile.json"
MAX_MANIFEST_BYTES = 16 * 2**20

Role = Literal["prediction", "score", "probabilities", "other"]
Label = str | int | float | bool


class Column(msgspec.Struct, frozen=True, omit_defaults=True):
    """One named column of the model's inputs.

    `input` is the tensor it belongs to and `index` its place in that tensor's rows; an index of None says
    that the tensor is this one column. `missing` allows null; `missing_token` is what strings then become.
    """

    name: str
    input: str
    datatype: str
    index: int | None = None
    unit: str | None = None
    description: str | None = None
    categories: tuple[Label, ...] | None = None
    missing: bool = False
    missing_token: str | None = None


class TaskOutput(msgspec.Struct, frozen=True):
    """What one output of the model means."""

    name: str
    role: Role


class Task(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the model predicts. `classes` are in probability order; `threshold` cuts the score."""

    type: Literal["classification", "regression", "other"] = "other"
    outputs: tuple[TaskOutput, ...] = ()
    classes: tuple[Label, ...] | None = None
    positive_class: Label | None = None
    threshold: float | None = None
    label_name: str | None = None


class FileEntry(msgspec.Struct, frozen=True):
    """One file of the version: path below its directory, size and SHA-256 in hex."""

    path: str
    size_bytes: int
    sha256: str


class Golden(msgspec.Struct, frozen=True):
    """How closely a loaded version must reproduce the outputs kept in `examples.npz`."""

    rows: int
    rtol: float = 1e-5
    atol: float = 1e-6


class OutputAgreement(msgspec.Struct, frozen=True):
    """How one ONNX output compared with the original estimator's, over the published examples."""

    output: str
    largest_difference: float
    decisions_changed: int
    rows: int


class Agreement(msgspec.Struct, frozen=True):
    """Original against ONNX: the tolerance that was applied and what was measured."""

    tolerance: float
    precision: Literal["single", "double"]
    outputs: tuple[OutputAgreement, ...]


class Provenance(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where the version came from. `created_at` is ISO 8601 in UTC."""

    created_at: str
    source: str
    libraries: dict[str, str] = {}
    git_revision: str | None = None
    training_data_sha256: str | None = None
    estimator: str | None = None


class Manifest(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Everything that is known about one version; `files` never lists the manifest itself.

    `signature` and `columns` are the model's own; with `features`, clients send less (see client_manifest).
    """

    format: int
    name: str
    version: int
    signature: Signature
    files: tuple[FileEntry, ...]
    columns: tuple[Column, ...]
    provenance: Provenance
    task: Task = Task()
    independent_rows: bool = True
    features: FeatureBinding | None = None
    golden: Golden | None = None
    agreement: Agreement | None = None
    meta: dict[str, str] = {}
    warnings: tuple[str, ...] = ()

    @property
    def size_bytes(self) -> int:
        """Size of all files of the version."""
        return sum(entry.size_bytes for entry in self.files)


def encode_manifest(manifest: Manifest) -> bytes:
    """Return the bytes of `manifest.json`, indented so that people can read it."""
    return msgspec.json.format(msgspec.json.encode(manifest, order="deterministic"), indent=2) + b"\n"


def decode_manifest(data: bytes) -> Manifest:
    """Return the manifest in `data`; raise InvalidManifest that names the field if it is not one."""
    try:
        found = msgspec.json.decode(data, type=_OnlyFormat).format
        if found not in (FORMAT, BOUND_FORMAT):
            raise _unfit_format(found)
        manifest = msgspec.json.decode(data, type=Manifest)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise InvalidManifest(f"manifest.json: {error}") from error
    check_model_name(manifest.name)
    check_consistent(manifest)
    return manifest


def digest_of(manifest_bytes: bytes) -> str:
    """Return the version's identity: SHA-256 of its manifest, which in turn holds every file's SHA-256."""
    return hashlib.sha256(manifest_bytes).hexdigest()


def content_digest(manifest: Manifest) -> str:
    """Return a SHA-256 of what the version does, without when and where it was made."""
    timeless = msgspec.structs.replace(manifest, version=0, provenance=Provenance(created_at="", source=""))
    return hashlib.sha256(msgspec.json.encode(timeless, order="deterministic")).hexdigest()


class _OnlyFormat(msgspec.Struct):
    format: int


def check_consistent(manifest: Manifest) -> None:
    """Raise InvalidManifest where the parts of a manifest contradict each other."""
    _check_files(manifest)
    _check_names(manifest)
    _check_features(manifest)


def format_of(features: FeatureBinding | None) -> int:
    """Return the format of a manifest with these features."""
    return FORMAT if features is None else BOUND_FORMAT


def _unfit_format(found: int) -> InvalidManifest:
    return InvalidManifest(
        f"manifest.json has format {found}; this Driftgate reads format {FORMAT} without features and "
        f"{BOUND_FORMAT} with them. Upgrade Driftgate, or publish the version again."
    )


def _check_features(manifest: Manifest) -> None:
    binding = manifest.features
    if manifest.format != format_of(binding):
        raise _unfit_format(manifest.format)
    if binding is not None:
        datatypes = {column.name: column.datatype for column in manifest.columns}
        inputs = frozenset(spec.name for spec in manifest.signature.inputs)
        for problem in binding_problems(binding, datatypes, inputs):
            raise InvalidManifest(f"features: {problem.text}")


def _check_files(manifest: Manifest) -> None:
    paths = [entry.path for entry in manifest.files]
    if MODEL_FILE not in paths:
        raise InvalidManifest(f"files: {MODEL_FILE} is not listed")
    for path in paths:
        if path.startswith("/") or any(part in ("", ".", "..") for part in path.split("/")) or "\0" in path:
            raise InvalidManifest(f"files: {path!r} is not a plain path below the version's directory")
    if MANIFEST_FILE in paths:
        raise InvalidManifest(f"files: {MANIFEST_FILE} cannot list itself")
    if len(set(paths)) != len(paths):
        raise InvalidManifest("files: the same path is listed twice")


def _check_names(manifest: Manifest) -> None:
    names = [column.name for column in manifest.columns]
    if len(set(names)) != len(names):
        raise InvalidManifest("columns: two columns have the same name")
    for column in manifest.columns:
        if manifest.signature.input(column.input) is None:
            raise InvalidManifest(
                f"columns: {column.name!r} belongs to input {column.input!r}, which is none"
            )
    for output in manifest.task.outputs:
        if manifest.signature.output(output.name) is None:
            raise InvalidManifest(f"task: output {output.name!r} is none of the model's")
