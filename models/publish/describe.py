"""The manifest of a graph: what is known about it, what can be inferred, and a warning for what cannot.

Golden rows are run here, so a graph that cannot compute is refused before anything is published.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from driftgate.models.convert.tasks import graph_task
from driftgate.models.errors import ConversionError, RunError
from driftgate.models.publish.provenance import provenance_now
from driftgate.models.run.examples import save_examples
from driftgate.models.run.golden import GoldenRun, run_golden
from driftgate.models.run.runtime import Array, Session
from driftgate.models.run.synthetic import synthetic_rows
from driftgate.models.schema.bare import bare_columns
from driftgate.models.schema.bind import DeclaredView, bind
from driftgate.models.schema.manifest import (
    EXAMPLES_FILE,
    FORMAT,
    PROFILE_FILE,
    Agreement,
    Column,
    Golden,
    Label,
    Manifest,
    Provenance,
    Task,
    check_consistent,
)
from driftgate.models.schema.signature import Signature
from driftgate.models.schema.stated_binding import StatedBinding
from driftgate.models.storage.version_writer import file_entries

BARE_COLUMNS = (
    "columns are unknown, so they are called {names}, in requests by name, errors and drift reports. "
    "Name them with --columns FILE or --reference FILE (or columns=, reference=)."
)
BARE_TASK = (
    "the meaning of {names} is unknown: monitoring will lack drift by class and performance against "
    "labels. State it with --task FILE (or task=)."
)
MADE_UP_ROWS = (
    "no examples were given: golden rows were made up from the signature: they find a damaged copy, "
    "but neither latency nor answers were seen on real data. Give --examples FILE (or examples=)."
)
NO_ROWS = (
    "no examples were given and the model refuses made-up rows ({reason}): there are no golden outputs "
    "to check a loaded copy against. Give --examples FILE (or examples=)."
)
DEPENDENT_ROWS = (
    "a row's answer depends on the rows beside it, or its batch is fixed: requests will not share a batch."
)

UNTYPED_KEYS = (
    "no feature view is declared there yet, so the features were compared with the model alone, and {names} "
    "is taken to be a string. State the type in the binding, or declare the views and publish again."
)


@dataclass(frozen=True)
class Description:
    """What is known beside the graph; None is inferred, with a warning of what is then missing.

    `classes` are those of ZipMap outputs that were flattened. `profile` makes the reference profile. `views`
    are those that the `binding` may read.
    """

    examples: Mapping[str, Array] | None = None
    columns: tuple[Column, ...] | None = None
    task: Task | None = None
    meta: Mapping[str, str] = field(default_factory=dict)
    provenance: Provenance | None = None
    agreement: Agreement | None = None
    warnings: tuple[str, ...] = ()
    classes: tuple[Label, ...] | None = None
    profile: Callable[[Session, Manifest], bytes] | None = None
    binding: StatedBinding | None = None
    views: Mapping[str, DeclaredView] | None = None


def describe(session: Session, known: Description, directory: Path) -> Manifest:
    """Return a manifest, still without name and number, of the model in `directory`; add its examples there.

    Raises InvalidInput or ConversionError where given examples do not fit or fail, InvalidManifest where
    given columns, task or binding contradict the signature or the views.
    """
    golden, golden_warning = _golden(session, known.examples)
    if golden is not None:
        save_examples(directory / EXAMPLES_FILE, golden.inputs, golden.outputs)
    columns = known.columns if known.columns is not None else bare_columns(session.signature)
    task = known.task or graph_task(session.signature, known.classes)
    manifest = Manifest(
        format=FORMAT,
        name="",
        version=0,
        signature=session.signature,
        files=file_entries(directory),
        columns=columns,
        provenance=known.provenance or provenance_now("onnx"),
        task=task,
        independent_rows=golden.independent_rows if golden else session.signature.batched,
        golden=Golden(golden.rows) if golden else None,
        agreement=known.agreement,
        meta=dict(known.meta),
        warnings=(*known.warnings, *_warnings(session.signature, known, golden, task), *golden_warning),
    )
    check_consistent(manifest)
    if known.profile is not None and session.signature.batched:
        (directory / PROFILE_FILE).write_bytes(known.profile(session, manifest))
        manifest = msgspec.structs.replace(manifest, files=file_entries(directory))
    return manifest if known.binding is None else bind(known.binding, manifest, known.views)


def _golden(
    session: Session, examples: Mapping[str, Array] | None
) -> tuple[GoldenRun | None, tuple[str, ...]]:
    try:
        if examples is None:
            return run_golden(session, synthetic_rows(session.signature)), (MADE_UP_ROWS,)
        return run_golden(session, examples), ()
    except RunError as error:
        if examples is None:
            return None, (NO_ROWS.format(reason=error),)
        raise ConversionError(f"the model fails on its own examples: {error}") from error


def _warnings(
    signature: Signature, known: Description, golden: GoldenRun | None, task: Task
) -> tuple[str, ...]:
    found = []
    if known.columns is None:
        names = [column.name for column in bare_columns(signature)]
        found.append(BARE_COLUMNS.format(names=_some(names) if names else "nothing (no flat rows)"))
    if all(output.role == "other" for output in task.outputs):
        found.append(BARE_TASK.format(names=_some([spec.name for spec in signature.outputs])))
    if golden is not None and not golden.independent_rows:
        found.append(DEPENDENT_ROWS)
    if known.binding is not None and known.views is None and known.binding.untyped:
        found.append(UNTYPED_KEYS.format(names=_some(sorted(known.binding.untyped))))
    return tuple(found)


def _some(names: list[str]) -> str:
    return ", ".join(names if len(names) <= 4 else [names[0], names[1], "…", names[-1]])
