"""What people and programs are told about a model: its traffic, every version's state and why. Pure."""

from dataclasses import dataclass

import msgspec

from driftgate.gateway.control.changes import PPM_PER_PERCENT
from driftgate.gateway.control.decide import why_not_auto
from driftgate.gateway.control.facts import Facts, VersionKey
from driftgate.gateway.control.holding import labels_of
from driftgate.gateway.control.plan import plan_held
from driftgate.gateway.serving.recording import unknown_columns
from driftgate.gateway.state.desired import Assignment, DesiredModel, DesiredState, HeldVersion, TrafficSplit
from driftgate.gateway.state.status import VersionState
from driftgate.models.registry.settings import ModelSettings
from driftgate.models.registry.snapshot import RegistryModel

NOT_HELD = "published, but its model's version policy does not hold it"
BEING_CHECKED = "is being copied and checked"


class ArmReport(msgspec.Struct, frozen=True):
    """One arm of the traffic."""

    name: str
    version: int
    percent: float
    weight_ppm: int


class VersionReport(msgspec.Struct, frozen=True):
    """One version: whether every live slot can answer with it, and the reason if not.

    `memory_bytes` is what one worker needs for it, 0 if it is not held. `created_at` and `task` are empty
    where no manifest is known.
    """

    version: int
    state: VersionState
    held: bool
    published: bool
    percent: float
    reason: str = ""
    digest: str = ""
    size_bytes: int = 0
    memory_bytes: int = 0
    created_at: str = ""
    task: str = ""
    warnings: tuple[str, ...] = ()


class ChangeReport(msgspec.Struct, frozen=True):
    """A change that waits until every worker is ready for it."""

    arms: tuple[ArmReport, ...]
    who: str
    why: str


class ShadowReport(msgspec.Struct, frozen=True):
    """A version that gets a copy of so many percent of the calls."""

    version: int
    percent: float


class ModelReport(msgspec.Struct, frozen=True):
    """One model as `/api/models/{name}` shows it.

    `ejected` tells why a version gets none of the rows that `traffic` and `shadows` give it.
    """

    name: str
    owner: str
    description: str
    settings: ModelSettings
    traffic: tuple[ArmReport, ...]
    assignment: Assignment
    labels: dict[str, int]
    pinned: int | None
    unloaded: bool
    history: tuple[int, ...]
    change: ChangeReport | None
    versions: tuple[VersionReport, ...]
    problems: tuple[str, ...]
    shadows: tuple[ShadowReport, ...] = ()
    ejected: dict[str, str] = {}


def model_names(desired: DesiredState, facts: Facts) -> list[str]:
    """Return the names of all models that are known, in order."""
    return sorted({*desired.models, *(facts.registry.models if facts.registry else {})})


def report_model(
    name: str, desired: DesiredState, facts: Facts, checking: frozenset[VersionKey]
) -> ModelReport:
    """Return what there is to say about one known model; `checking` are versions under verification."""
    published = facts.published(name)
    shown = published.settings if published else None
    model = desired.models.get(name) or DesiredModel(TrafficSplit(""), shown or ModelSettings())
    labels = labels_of(model)
    reasons = _reasons(name, model, desired, facts)
    numbers = {held.version for held in model.held} | set(reasons)
    numbers |= set(published.versions) if published else set()
    seen = _Looker(name, model, published, facts, reasons)
    versions = tuple(seen.report(number, checking) for number in sorted(numbers, reverse=True))
    found = (("stable", labels.stable), ("canary", labels.canary), ("latest", labels.latest))
    return ModelReport(
        name=name,
        owner=model.settings.owner,
        description=model.settings.description,
        settings=model.settings,
        traffic=arm_reports(model.split),
        assignment=model.split.assignment,
        labels={label: version for label, version in found if version is not None},
        pinned=model.pinned,
        unloaded=model.unloaded,
        history=model.history,
        change=_change(model),
        versions=versions,
        problems=(*_problems(published, reasons), *_hidden_nowhere(name, model, facts)),
        shadows=tuple(
            ShadowReport(shadow.version, shadow.share_ppm / PPM_PER_PERCENT) for shadow in model.shadows
        ),
        ejected=model.ejected,
    )


def arm_reports(split: TrafficSplit) -> tuple[ArmReport, ...]:
    """Return the arms of a split."""
    return tuple(
        ArmReport(arm.name, arm.version, arm.weight_ppm / PPM_PER_PERCENT, arm.weight_ppm)
        for arm in split.arms
    )


def _change(model: DesiredModel) -> ChangeReport | None:
    if model.change is None:
        return None
    return ChangeReport(arm_reports(TrafficSplit("", model.change.arms)), model.change.who, model.change.why)


def _reasons(name: str, model: DesiredModel, desired: DesiredState, facts: Facts) -> dict[int, str]:
    """Why versions are not held or take no traffic by themselves; the first reason found for each counts."""
    published = facts.published(name)
    found = {key.version: why for key, why in facts.failed.items() if key.model == name}
    found |= plan_held(name, model, desired, facts).refused
    if published:
        found |= {version: why for version, why in published.problems.items() if version}
        found |= _not_published(model, published)
        found |= _other_content(model, published)
    found |= {int(version): why for version, why in model.refused.items() if int(version) not in found}
    if model.settings.promote == "auto":
        for held in model.held:
            why = why_not_auto(name, model, held.version, facts)
            if why and held.version not in found and held.version > (model.split.stable or 0):
                found[held.version] = why
    return found


def _not_published(model: DesiredModel, published: RegistryModel) -> dict[int, str]:
    asked = set(model.settings.versions.specific or ()) - set(published.versions) - set(published.problems)
    gone = {held.version for held in model.held} - set(published.versions) - set(published.problems)
    return dict.fromkeys(asked, "model.toml asks for it, and it is not published") | dict.fromkeys(
        gone, "no longer in the registry; it stays as long as it is needed here"
    )


def _other_content(model: DesiredModel, published: RegistryModel) -> dict[int, str]:
    return {
        held.version: "the registry has other content under this number now; what was loaded first stays. "
        "Publish changes under a new number."
        for held in model.held
        if held.version in published.versions and published.versions[held.version].digest != held.digest
    }


def _problems(published: RegistryModel | None, reasons: dict[int, str]) -> tuple[str, ...]:
    general = [published.problems[0]] if published and 0 in published.problems else []
    return (*general, *(f"version {version}: {why}" for version, why in sorted(reasons.items())))


def _hidden_nowhere(name: str, model: DesiredModel, facts: Facts) -> list[str]:
    """Columns to be hidden from the prediction log that do not exist: what was meant is not hidden."""
    lacking: dict[str, list[str]] = {}
    for held in model.held:
        manifest = facts.manifest(name, held.version)
        for column in dict.fromkeys(unknown_columns(manifest, model.settings.log)) if manifest else ():
            lacking.setdefault(column, []).append(str(held.version))
    return [
        f"model.toml, [log]: {column!r} is to be hidden, and version {', '.join(versions)} has nothing of "
        "that name; if it is misspelt, what was meant is recorded in the open"
        for column, versions in lacking.items()
    ]


@dataclass(frozen=True)
class _Looker:
    """Looks at the versions of one model."""

    name: str
    model: DesiredModel
    published: RegistryModel | None
    facts: Facts
    reasons: dict[int, str]

    def report(self, version: int, checking: frozenset[VersionKey]) -> VersionReport:
        """Return what there is to say about one version."""
        held = self.model.held_version(version)
        published = self.published.versions.get(version) if self.published else None
        manifest = self.facts.manifest(self.name, version)
        state, reason = self._state(held) if held else self._not_held(version, checking)
        weights = {arm.version: arm.weight_ppm for arm in self.model.split.arms}
        weights |= dict.fromkeys(self.model.ejected_versions, 0)
        return VersionReport(
            version=version,
            state=state,
            held=held is not None,
            published=published is not None,
            percent=weights.get(version, 0) / PPM_PER_PERCENT,
            reason=reason or self.reasons.get(version, ""),
            digest=held.digest if held else published.digest if published else "",
            size_bytes=manifest.size_bytes if manifest else 0,
            memory_bytes=held.size_bytes if held else 0,
            created_at=manifest.provenance.created_at if manifest else "",
            task=manifest.task.type if manifest else "",
            warnings=manifest.warnings if manifest else (),
        )

    def _state(self, held: HeldVersion) -> tuple[VersionState, str]:
        """The state in all live slots together: READY only if it is so in every one."""
        found = [slot.state_of(self.name, held.digest) for slot in self.facts.slots]
        states = {status.state if status else "LOADING" for status in found}
        if states == {"READY"}:
            return "READY", ""
        reason = "; ".join(sorted({status.reason for status in found if status and status.reason}))
        return ("UNAVAILABLE", reason) if "UNAVAILABLE" in states else ("LOADING", reason)

    def _not_held(self, version: int, checking: frozenset[VersionKey]) -> tuple[VersionState, str]:
        if self.model.unloaded:
            return "UNAVAILABLE", "unloaded by an operator"
        if version in self.reasons:
            return "UNAVAILABLE", self.reasons[version]
        if VersionKey(self.name, version) in checking:
            return "LOADING", BEING_CHECKED
        return "UNAVAILABLE", NOT_HELD
