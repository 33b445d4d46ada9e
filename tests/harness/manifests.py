"""Manifests of versions that exist only on paper, for tests of decisions."""

from driftgate.models.schema.binding import FeatureBinding
from driftgate.models.schema.manifest import Column, FileEntry, Manifest, Provenance, format_of
from driftgate.models.schema.signature import Signature, TensorSpec


def paper_manifest(
    version: int = 1,
    width: int = 2,
    inputs: tuple[TensorSpec, ...] = (),
    columns: tuple[Column, ...] = (),
    features: FeatureBinding | None = None,
) -> Manifest:
    """Return the manifest of a version of `m`; without `inputs` it takes one matrix of `width` columns."""
    return Manifest(
        format=format_of(features),
        name="m",
        version=version,
        signature=Signature(inputs or (TensorSpec("x", "FP32", (-1, width)),), ()),
        files=(FileEntry("model.onnx", 1, "0" * 64),),
        columns=columns,
        features=features,
        provenance=Provenance("", ""),
    )
