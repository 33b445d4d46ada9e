"""What the codecs need to know about one model version, worked out once when it is loaded."""

import hashlib
from dataclasses import dataclass

import msgspec

from driftgate.gateway.wire.answer_forms import AnswerForms
from driftgate.gateway.wire.known_requests import KnownRequests
from driftgate.gateway.wire.tensor_views import InputView, OutputView
from driftgate.models.schema.client_manifest import client_manifest, optional_inputs
from driftgate.models.schema.columns import RowReader
from driftgate.models.schema.elements import Elements
from driftgate.models.schema.manifest import Label, Manifest
from driftgate.models.schema.signature import Signature, TensorSpec


@dataclass(frozen=True, slots=True)
class ModelView:
    """One model version as the codecs see it: its inputs are what clients send, see `client_manifest`.

    `head` is the part of a JSON answer that names it. Inputs that are `optional` may be left out.

    `batched` says that every input and output counts rows in its first dimension; `independent_rows` that
    rows of several requests may be computed together. Versions with the same `contract` (a hash of signature
    and columns) read every request alike; the signature alone does not tell, since columns may trade places.
    `known` and `forms` remember what was asked before, so that it is not worked out again.
    """

    name: str
    version: int
    signature: Signature
    contract: bytes
    batched: bool
    independent_rows: bool
    input_names: tuple[str, ...]
    optional: frozenset[str]
    output_names: tuple[str, ...]
    inputs: dict[str, InputView]
    outputs: dict[str, OutputView]
    rows: RowReader
    head: bytes
    known: KnownRequests
    forms: AnswerForms

    @classmethod
    def of(cls, manifest: Manifest) -> "ModelView":
        """Return the view of the version that `manifest` describes."""
        client, optional = client_manifest(manifest), optional_inputs(manifest)
        signature = client.signature
        inputs = {
            spec.name: InputView.of(spec, Elements.of(spec, client.columns)) for spec in signature.inputs
        }
        outputs = {spec.name: OutputView.of(spec, _labels(manifest, spec)) for spec in signature.outputs}
        head = b'"model_name":"%b","model_version":"%d"' % (manifest.name.encode(), manifest.version)
        return cls(
            name=manifest.name,
            version=manifest.version,
            signature=signature,
            contract=hashlib.sha256(
                msgspec.json.encode((signature, client.columns, sorted(optional)))
            ).digest(),
            batched=signature.batched,
            independent_rows=manifest.independent_rows,
            input_names=tuple(spec.name for spec in signature.inputs),
            optional=optional,
            output_names=tuple(outputs),
            inputs=inputs,
            outputs=outputs,
            rows=RowReader.of(client, optional),
            head=head,
            known=KnownRequests(inputs),
            forms=AnswerForms(head, outputs),
        )


def _labels(manifest: Manifest, spec: TensorSpec) -> tuple[str, ...]:
    task = manifest.task
    probabilities = {output.name for output in task.outputs if output.role == "probabilities"}
    if spec.name not in probabilities or task.classes is None:
        return ()
    return tuple(map(_label_text, task.classes))


def _label_text(label: Label) -> str:
    return label if isinstance(label, str) else msgspec.json.encode(label).decode()
