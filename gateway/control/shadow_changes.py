"""What an operator may ask about shadows: returns the model as asked for, or raises. Pure."""

from msgspec.structs import replace

from driftgate.gateway.control.changes import PPM_PER_PERCENT, Subject, check_known
from driftgate.gateway.errors import Conflict
from driftgate.gateway.routing.compatibility import row_incompatibilities
from driftgate.gateway.state.desired import Change, DesiredModel, Shadow

MOST_SHADOWS = 4
"""Each has a thread of its own in every worker."""


def set_shadow(subject: Subject, version: int, share_ppm: int) -> DesiredModel:
    """Return the model with a change that copies a share of the calls to `version`; a share of 0 ends that.

    Raises NotFound or Conflict where the version is unknown, failed its checks, or cannot compute the rows
    that the stable one gets.
    """
    model = subject.model
    if model.change is not None:
        raise Conflict(f"another change of {subject.name} is running: {model.change.why}; try again after it")
    others = tuple(shadow for shadow in model.shadows if shadow.version != version)
    if not share_ppm:
        return _change_to(subject, others, f"no more copies of {subject.name} to version {version}")
    if len(others) == MOST_SHADOWS:
        raise Conflict(f"{subject.name} has {MOST_SHADOWS} shadows already; end one of them first")
    _check_can_follow(subject, version)
    percent = share_ppm / PPM_PER_PERCENT
    why = f"copy {percent:g} % of the calls of {subject.name} to version {version}"
    return _change_to(subject, (*others, Shadow(version, share_ppm)), why)


def _check_can_follow(subject: Subject, version: int) -> None:
    name, stable = subject.name, subject.model.split.stable
    if subject.model.unloaded or stable is None:
        raise Conflict(f"{name} has no version with traffic whose rows could be copied")
    if version in subject.model.split.versions and len(subject.model.split.versions) == 1:
        raise Conflict(f"version {version} of {name} answers all calls itself")
    check_known(subject, version)
    _check_same_rows(subject, version, stable)


def _check_same_rows(subject: Subject, version: int, stable: int) -> None:
    """Rows are copied as they are, stored features included: nothing fills in what only the shadow has."""
    before, after = (subject.facts.manifest(subject.name, number) for number in (stable, version))
    if before is None or after is None:
        return
    found = row_incompatibilities(before, after)
    if found:
        raise Conflict(
            f"version {version} of {subject.name} cannot compute the rows that version {stable} gets: "
            f"{'; '.join(found)} (a shadow computes the very same rows)"
        )
    added = [spec.name for spec in after.signature.inputs if before.signature.input(spec.name) is None]
    if added:
        raise Conflict(
            f"version {version} of {subject.name} has inputs that version {stable} does not have: "
            f"{', '.join(added[:8])} (a shadow computes the very same rows)"
        )


def _change_to(subject: Subject, shadows: tuple[Shadow, ...], why: str) -> DesiredModel:
    model = subject.model
    again = model.ejected_versions & {shadow.version for shadow in shadows}
    if shadows == model.shadows and not again:
        return model
    refused = {v: reason for v, reason in model.refused.items() if int(v) not in again}
    deadline = subject.facts.now + subject.facts.limits.prepare_timeout_s
    change = Change(model.split.arms, subject.who, why, deadline, shadows=shadows)
    return replace(model, refused=refused, change=change)
