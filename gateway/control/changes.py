"""What an operator may ask of a model: each request returns the model as asked for, or raises. Pure.

A request only says what should be; versions are loaded and weights come into force as `decide` finds every
worker ready.
"""

import dataclasses
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from msgspec.structs import replace

from driftgate.gateway.control.ejection import check_not_ejected
from driftgate.gateway.control.facts import Facts, VersionKey
from driftgate.gateway.control.holding import arms_for, rollback_target
from driftgate.gateway.errors import BadRequest, Conflict, NotFound
from driftgate.gateway.routing.compatibility import incompatibilities
from driftgate.gateway.routing.intervals import Moves, moves
from driftgate.gateway.routing.keys import key_place
from driftgate.gateway.state.desired import (
    TOTAL_PPM,
    Assignment,
    Change,
    DesiredModel,
    DesiredState,
    KeySource,
)

MAX_ARMS = 64
"""Every worker holds all of them in memory, and each has a thread of its own where its calls are long."""
PPM_PER_PERCENT = TOTAL_PPM // 100
SECRET_HEADERS = frozenset({"authorization", "cookie", "proxy-authorization"})
_HEADER = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]{1,64}")


@dataclass(frozen=True)
class Subject:
    """The model that a request is about, what is known of it, and who asks."""

    name: str
    model: DesiredModel
    facts: Facts
    who: str


def find_subject(name: str, desired: DesiredState, facts: Facts, who: str) -> Subject:
    """Return the subject of a request; raise NotFound if neither state nor registry knows the model."""
    model = desired.models.get(name)
    if model is None and facts.published(name) is None:
        raise NotFound(f"there is no model {name[:140]!r}")
    return Subject(name, model or DesiredModel(split=facts.new_split), facts, who)


def weights_from_percent(arms: Mapping[str, float]) -> dict[int, int]:
    """Return version to ppm from `{"7": 90, "8": 10}`; raise BadRequest where that is no split."""
    weights = {version: percent_as_ppm(version, percent) for version, percent in arms.items()}
    return _weights(weights, "100 percent")


def weights_from_ppm(arms: Mapping[str, int]) -> dict[int, int]:
    """Return version to ppm from `{"7": 900000, "8": 100000}`; raise BadRequest where that is no split."""
    return _weights(arms, f"{TOTAL_PPM} ppm")


def percent_as_ppm(version: str, percent: float) -> int:
    """Return the share of a version in ppm; raise BadRequest if it is not finite or has too many decimals."""
    if not math.isfinite(percent):
        raise BadRequest(f"the weight of version {version[:40]!r} is not a finite number")
    ppm = round(percent * PPM_PER_PERCENT)
    if abs(ppm - percent * PPM_PER_PERCENT) > 1e-3:
        raise BadRequest(f"the weight of version {version[:40]!r} has more than four decimals")
    return ppm


def _weights(arms: Mapping[str, int], whole: str) -> dict[int, int]:
    if len(arms) > MAX_ARMS:
        raise BadRequest(f"{len(arms)} versions cannot share the traffic of a model: at most {MAX_ARMS} can")
    weights = {_version(version): weight for version, weight in arms.items()}
    for version, weight in weights.items():
        if weight < 0:
            raise BadRequest(f"the weight of version {version} is negative")
    total = sum(weights.values())
    if total != TOTAL_PPM:
        given = f"{total / PPM_PER_PERCENT:g}" if whole.endswith("percent") else str(total)
        raise BadRequest(f"the weights must sum to {whole}, and these sum to {given}")
    return weights


def _version(text: str) -> int:
    if text.isascii() and text.isdecimal() and len(text) <= 18 and text[0] != "0":
        return int(text)
    raise BadRequest(f"{text[:40]!r} is not a version: use a positive whole number without leading zeros")


def promote(subject: Subject, version: int, force: bool = False) -> DesiredModel:
    """Return the model with a change that gives `version` all traffic.

    Raises NotFound or Conflict where it is unknown, failed its checks, or (unless `force`) does not accept
    what clients of the stable version send.
    """
    _check_may_move(subject, version)
    check_known(subject, version)
    if not force:
        check_not_ejected(subject.name, subject.model, (version,))
        check_compatible(subject, (version,), "promote it with force")
    return _change_to(subject, {version: TOTAL_PPM}, f"promote {subject.name} to version {version}")


def set_traffic(
    subject: Subject, weights: Mapping[int, int], force: bool = False, assignment: Assignment | None = None
) -> DesiredModel:
    """Return the model with a change to the split `weights` (version to ppm); raises as `promote` does.

    Another `assignment` that would deal the keys of several arms out anew needs `force`.
    """
    shares = {version: weight for version, weight in weights.items() if weight}
    for version in shares:
        _check_may_move(subject, version)
        check_known(subject, version)
    if not force:
        check_not_ejected(subject.name, subject.model, shares)
    check_compatible(subject, tuple(shares), "it is reachable by its number all the same")
    text = ", ".join(f"{version}: {weight / PPM_PER_PERCENT:g} %" for version, weight in shares.items())
    if assignment is not None:
        subject = _with_variant_salt(subject)
        _check_key(subject, assignment.key, tuple(shares))
        if not force:
            _check_not_dealt_anew(subject, shares, assignment)
        text += f" by {assignment.key}"
    return _change_to(subject, shares, f"traffic of {subject.name} to {text}", assignment=assignment)


def clear_traffic(subject: Subject) -> DesiredModel:
    """Return the model with a change that gives the stable version all traffic; raises as `promote` does."""
    stable = subject.model.split.stable
    if stable is None:
        raise Conflict(f"{subject.name} has no version with traffic")
    _check_may_move(subject, stable)
    why = f"end the split of {subject.name}: all traffic to version {stable}"
    return _change_to(subject, {stable: TOTAL_PPM}, why)


def change_of(before: DesiredModel, asked: DesiredModel) -> Moves:
    """Return which keys move once what was `asked` is in force."""
    after = asked.change.applied_to(asked.split) if asked.change else asked.split
    return moves(before.split, after)


def rollback(subject: Subject) -> DesiredModel:
    """Return the model with a change back to the last version that had all traffic, pinned from then on."""
    _check_loaded(subject)
    target = rollback_target(subject.model)
    if target is None:
        raise Conflict(f"{subject.name} has no earlier version that had all traffic")
    why = f"roll {subject.name} back to version {target}"
    return _change_to(subject, {target: TOTAL_PPM}, why, pin=target)


def pin(subject: Subject) -> DesiredModel:
    """Return the model pinned to its stable version, without a running change.

    Nothing but a rollback or `unpin` moves it then.
    """
    if subject.model.split.stable is None:
        raise Conflict(f"{subject.name} has no version with traffic to pin")
    return replace(subject.model, pinned=subject.model.split.stable, change=None)


def unpin(subject: Subject) -> DesiredModel:
    """Return the model without a pin."""
    return replace(subject.model, pinned=None)


def load(subject: Subject) -> DesiredModel:
    """Return the model as one that is to be loaded, with earlier refusals forgotten."""
    return replace(subject.model, unloaded=False, refused={})


def unload(subject: Subject, force: bool = False) -> DesiredModel:
    """Return the model with nothing loaded; raise Conflict while it has traffic, unless forced."""
    if subject.model.split.versions and not force:
        raise Conflict(
            f"{subject.name} has traffic on version {subject.model.split.stable}: "
            "unload it with force, and its clients get 404"
        )
    emptied = replace(subject.model.split, arms=())
    return replace(
        subject.model, split=emptied, shadows=(), ejected={}, change=None, pinned=None, unloaded=True
    )


def _check_loaded(subject: Subject) -> None:
    if subject.model.unloaded:
        raise Conflict(f"{subject.name} is unloaded: `driftgate models load {subject.name}` first")


def _check_may_move(subject: Subject, version: int) -> None:
    _check_loaded(subject)
    pinned = subject.model.pinned
    if pinned is not None and pinned != version:
        raise Conflict(
            f"{subject.name} is pinned to version {pinned}: `driftgate models unpin {subject.name}` first"
        )


def check_known(subject: Subject, version: int) -> None:
    """Raise NotFound for a version that is not there, or Conflict for one that failed its checks."""
    name, facts = subject.name, subject.facts
    if subject.model.held_version(version):
        return
    failed = facts.failed.get(VersionKey(name, version))
    if failed:
        raise Conflict(f"version {version} of {name} cannot be loaded: {failed}")
    if facts.manifest(name, version) is None:
        raise NotFound(f"there is no version {version} of {name}")


def check_compatible(subject: Subject, versions: tuple[int, ...], way_out: str) -> None:
    """Raise Conflict if some version does not accept what clients of the stable one send."""
    stable = subject.model.split.stable
    before = None if stable is None else subject.facts.manifest(subject.name, stable)
    for version in versions:
        after = subject.facts.manifest(subject.name, version)
        if before is None or after is None or version == stable:
            continue
        found = incompatibilities(before, after)
        if found:
            raise Conflict(
                f"version {version} of {subject.name} does not accept what clients of version {stable} send: "
                f"{'; '.join(found)} ({way_out})"
            )


def _with_variant_salt(subject: Subject) -> Subject:
    """Make the second salt of a model from before there were two."""
    split = subject.model.split
    if split.variant_salt:
        return subject
    salted = replace(split, variant_salt=subject.facts.variant_salt)
    return dataclasses.replace(subject, model=replace(subject.model, split=salted))


def _check_key(subject: Subject, source: KeySource, versions: tuple[int, ...]) -> None:
    """Raise BadRequest if a key source cannot be found in requests."""
    if source.kind == "header" and not _HEADER.fullmatch(source.name):
        raise BadRequest(
            f"{source.name[:64]!r} is not a header's name in lower case, of at most 64 characters"
        )
    if source.kind == "header" and source.name in SECRET_HEADERS:
        raise BadRequest(f"{source.name!r} carries secrets, and keys are recorded: choose another header")
    for version in versions if source.kind == "input" else ():
        manifest = subject.facts.manifest(subject.name, version)
        if manifest is not None and key_place(source, manifest) is None:
            raise BadRequest(
                f"version {version} of {subject.name} has no column {source.name[:64]!r}, "
                "and no input of one element for each row that is called so"
            )


def _check_not_dealt_anew(subject: Subject, shares: Mapping[int, int], assignment: Assignment) -> None:
    split = subject.model.split
    found = moves(split, replace(split, arms=arms_for(shares, split), assignment=assignment))
    if found.rebuckets:
        raise Conflict(
            f"another key or salt deals the keys of {subject.name} out anew: about "
            f"{found.moved_ppm / PPM_PER_PERCENT:g} % of them would change version. Give one version all "
            "traffic first, or use force"
        )


def _change_to(
    subject: Subject,
    weights: Mapping[int, int],
    why: str,
    pin: int | None = None,
    assignment: Assignment | None = None,
) -> DesiredModel:
    model = subject.model
    arms = arms_for(weights, model.split)
    refused = {version: reason for version, reason in model.refused.items() if int(version) not in weights}
    asked = replace(model, refused=refused, change=None)
    again = model.ejected_versions & weights.keys()
    same_keys = assignment in (None, model.split.assignment)
    if arms == model.split.arms and same_keys and not again and pin in (None, model.pinned):
        return asked
    deadline = subject.facts.now + subject.facts.limits.prepare_timeout_s
    return replace(asked, change=Change(arms, subject.who, why, deadline, pin=pin, assignment=assignment))
