"""What a model's outputs mean, as far as its signature and its classes tell."""

from collections.abc import Callable

from driftgate.models.schema.manifest import Label, Role, Task, TaskOutput
from driftgate.models.schema.signature import FLOATS, Signature, TensorSpec

PROBABILITY_THRESHOLD = 0.5
SCORE_THRESHOLD = 0.0


def graph_task(signature: Signature, classes: tuple[Label, ...] | None) -> Task:
    """Return the task that a graph alone gives: a ZipMap knows its classes; without one it is `other`."""
    if classes is None:
        return Task(outputs=tuple(TaskOutput(spec.name, "other") for spec in signature.outputs))
    return classification(signature, classes)


def classification(
    signature: Signature,
    classes: tuple[Label, ...],
    label_name: str | None = None,
    scores: Role = "probabilities",
) -> Task:
    """Return the task of a classifier: [rows, classes] floats are `scores`, one label is the prediction.

    Of two classes the second is the positive one, cut where scikit-learn's `predict` does: probabilities at
    0.5, decision scores at 0.
    """
    binary = len(classes) == 2
    threshold = {"probabilities": PROBABILITY_THRESHOLD, "score": SCORE_THRESHOLD}.get(scores)
    return Task(
        type="classification",
        outputs=_roles(signature, lambda spec: _classifier_role(spec, len(classes), scores)),
        classes=classes,
        positive_class=classes[1] if binary else None,
        threshold=threshold if binary else None,
        label_name=label_name,
    )


def regression(signature: Signature, label_name: str | None = None) -> Task:
    """Return the task of a regressor: its first output of numbers is the prediction."""
    return Task(type="regression", outputs=_roles(signature, _regressor_role), label_name=label_name)


def scoring(signature: Signature) -> Task:
    """Return the task of what is neither (outlier detectors, clusterings): floats are scores."""
    return Task(outputs=_roles(signature, lambda spec: "score" if spec.datatype in FLOATS else "prediction"))


def _roles(signature: Signature, role_of: Callable[[TensorSpec], Role]) -> tuple[TaskOutput, ...]:
    """Give each role but `other` once, to the first output that can have it."""
    taken: set[Role] = set()
    outputs = []
    for spec in signature.outputs:
        role = role_of(spec)
        outputs.append(TaskOutput(spec.name, "other" if role in taken else role))
        taken.add(role)
    return tuple(outputs)


def _classifier_role(spec: TensorSpec, classes: int, scores: Role) -> Role:
    if spec.datatype not in FLOATS:
        return "prediction" if spec.row_size == 1 else "other"
    return scores if spec.row_size in (1, -1, classes) else "other"


def _regressor_role(spec: TensorSpec) -> Role:
    return "prediction" if spec.datatype != "BYTES" else "other"
