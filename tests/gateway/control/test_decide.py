"""Decisions as tables: one look at the world, and what is to be done next."""

from dataclasses import replace

import msgspec
import pytest

from driftgate.gateway.control.decide import decide, propose, settle
from driftgate.gateway.control.facts import Limits, Verified, VersionKey
from driftgate.gateway.state.desired import (
    Arm,
    DesiredModel,
    TrafficSplit,
)
from driftgate.models.registry.settings import ModelSettings, VersionPolicy
from driftgate.models.registry.snapshot import PublishedVersion, RegistryModel, RegistrySnapshot

from harness.decisions import (
    AUTO,
    MIB,
    TIMEOUT,
    all_to,
    facts,
    held,
    model,
    next_model,
    registry,
    slot,
    state,
    versions_of,
)
from harness.manifests import paper_manifest


def test_an_empty_registry_wants_nothing() -> None:
    """No models, no proposal."""
    assert decide(state(None), facts(RegistrySnapshot())) is None
    assert decide(state(None), facts(None)) is None


def test_a_cold_start_begins_with_weights() -> None:
    """Without members nobody can disagree: the first version is held and weighted in one generation."""
    first = next_model(state(None), facts(registry(1, 2)))
    assert (versions_of(first), first.split.arms, first.history) == ([2], all_to(2), (2,))
    assert first.split.salt == "5a"


def test_loaded_is_not_routed() -> None:
    """A newer version is held; the traffic stays where it is."""
    loaded = next_model(state(model(1)), facts(registry(1, 2), slot(1)))
    assert (versions_of(loaded), loaded.split.arms, loaded.change) == ([1, 2], all_to(1), None)
    assert decide(state(loaded), facts(registry(1, 2), slot(1, 2))) is None


def test_auto_moves_on_to_the_newest() -> None:
    """With promote = auto a newer version is prepared and then gets all traffic."""
    shown = registry(1, 2, settings=AUTO)
    prepared = next_model(state(model(1)), facts(shown, slot(1)))
    assert prepared.change is not None
    assert (prepared.change.arms, prepared.change.who) == (all_to(2), "control")
    moved = next_model(state(prepared), facts(shown, slot(1, 2)))
    assert (moved.split.arms, moved.history, moved.change) == (all_to(2), (2, 1), None)


@pytest.mark.parametrize(
    "wanted",
    [
        model(1, 2, settings=AUTO, pinned=1),
        model(1, 2, settings=AUTO, refused={"2": "too slow"}),
        model(3, 2, settings=AUTO, history=(3, 2)),
        msgspec.structs.replace(
            model(1, 2, settings=AUTO),
            split=TrafficSplit("00", (Arm("stable", 1, 900_000), Arm("canary", 2, 100_000))),
        ),
    ],
    ids=["pinned", "refused", "older", "a canary that somebody set"],
)
def test_auto_leaves_alone(wanted: DesiredModel) -> None:
    """A pin, a refusal, an older version and a split that somebody set are not for the policy to move."""
    look = facts(registry(*versions_of(wanted), settings=AUTO), slot(*versions_of(wanted)))
    assert decide(state(wanted), look) is None


def test_auto_waits_for_what_the_policy_asks_for() -> None:
    """A version that is held for another reason gets no traffic while the one asked for is being checked."""
    look = facts(registry(1, 2, 3, settings=AUTO), slot(1, 2), proven=(1, 2))
    assert decide(state(model(1, 2, settings=AUTO)), look) is None
    failing = replace(look, failed={VersionKey("m", 3): "its answers differ"})
    assert next_model(state(model(1, 2, settings=AUTO)), failing).split.arms == all_to(2)


def test_auto_never_moves_to_other_inputs() -> None:
    """A version that does not accept what clients send is loaded and waits for an operator."""
    look = facts(registry(1, 99, settings=AUTO), slot(1, 99))
    loaded = next_model(state(model(1)), look)
    assert (versions_of(loaded), loaded.change) == ([1, 99], None)


def test_an_unverified_version_changes_nothing() -> None:
    """While the newest version fails or is being checked, what is held stays."""
    look = facts(registry(1, 2, 3), slot(1, 2), proven=(1, 2))
    assert decide(state(model(1, 2)), look) is None


def test_memory_refuses_the_newcomer_alone() -> None:
    """A version that does not fit for all workers is left out; nothing else moves."""
    look = facts(registry(1, 2), slot(1))
    tight = replace(look, limits=Limits(workers=2, memory_bytes=3 * MIB, prepare_timeout_s=TIMEOUT))
    assert decide(state(model(1)), tight) is None


def test_a_smaller_budget_unloads_nothing() -> None:
    """What is held and needed stays, whatever the budget became."""
    look = facts(registry(1), slot(1))
    assert decide(state(model(1)), replace(look, limits=Limits(workers=8, memory_bytes=1))) is None


def test_a_number_keeps_its_content() -> None:
    """Other content under a number that is held is not loaded."""
    look = facts(registry(1), slot(1))
    other = {VersionKey("m", 1): Verified("other", MIB, paper_manifest(1))}
    assert decide(state(model(1)), replace(look, verified=other)) is None


@pytest.mark.parametrize(
    "shown",
    [None, RegistrySnapshot(), registry(), registry(readable=False)],
    ids=["unreadable", "emptied", "no versions", "model unreadable"],
)
def test_a_lost_registry_unloads_nothing_that_is_needed(shown: RegistrySnapshot | None) -> None:
    """What has traffic and where a rollback goes stay held."""
    assert decide(state(model(2, 1, history=(2, 1))), facts(shown, slot(1, 2))) is None


@pytest.mark.parametrize("shown", [None, registry(readable=False)], ids=["registry", "model"])
def test_what_cannot_be_read_unloads_nothing_at_all(shown: RegistrySnapshot | None) -> None:
    """A version that only the policy holds stays too, until the registry says that it is gone."""
    assert decide(state(model(1, 2, 3)), facts(shown, slot(1, 2, 3))) is None


def test_a_version_that_is_gone_is_unloaded() -> None:
    """Leaving a version out means removing it, if nothing needs it."""
    assert versions_of(next_model(state(model(1, 2)), facts(registry(1), slot(1, 2)))) == [1]


def test_a_version_that_cannot_be_read_now_is_not_gone() -> None:
    """A problem with one version's files is no reason to unload it."""
    look = facts(registry(1, problems={2: "cannot be read"}), slot(1, 2))
    assert decide(state(model(1, 2)), look) is None


def test_broken_settings_keep_the_last_good_ones() -> None:
    """A typing error in model.toml changes nothing; a good edit is taken over."""
    wanted = model(1, settings=ModelSettings(owner="risk"))
    broken = RegistrySnapshot({"m": replace(registry(1).models["m"], settings=None)})
    assert decide(state(wanted), facts(broken, slot(1))) is None
    edited = registry(1, settings=ModelSettings(owner="fraud"))
    assert next_model(state(wanted), facts(edited, slot(1))).settings.owner == "fraud"


def test_versions_8_to_12_come_and_go() -> None:
    """While 7 is stable and 8 has a share neither is ever dropped; of the others the newest is held."""
    split = TrafficSplit("00", (Arm("stable", 7, 900_000), Arm("canary", 8, 100_000)))
    wanted = model(7, 8, split=split, history=(7,))
    for newest in range(9, 13):
        wanted = next_model(state(wanted), facts(registry(*range(7, newest + 1)), slot(7, 8)))
        assert versions_of(wanted) == [7, 8, newest]


def test_a_verdict_goes_with_its_version() -> None:
    """When a refused version is taken out of the registry its number may be tried again."""
    wanted = model(1, refused={"2": "too slow"})
    assert next_model(state(wanted), facts(registry(1), slot(1))).refused == {}


def test_an_unloaded_model_holds_nothing() -> None:
    """It stays known, so that the registry does not load it again."""
    wanted = model(1, split=TrafficSplit("00"), unloaded=True)
    emptied = next_model(state(wanted), facts(registry(1), slot(1)))
    assert (emptied.held, emptied.unloaded) == ((), True)
    assert decide(state(emptied), facts(registry(1), slot())) is None
    again = msgspec.structs.replace(emptied, unloaded=False)
    proposal = propose("m", again, state(emptied), facts(registry(1, 2), slot(), proven=(1, 2)))
    assert proposal is not None
    change_again = proposal.models["m"].change
    assert change_again is not None
    assert change_again.arms == all_to(1)


def test_traffic_comes_back_to_where_it_was() -> None:
    """A model that is loaded again waits for what had its traffic, however fast a newer version is ready."""
    gone = state(DesiredModel(TrafficSplit("00"), history=(1,)))
    first = next_model(gone, facts(registry(1, 2), slot(), proven=(2,)))
    assert (versions_of(first), first.change) == ([2], None)
    then = next_model(state(first), facts(registry(1, 2), slot(2), proven=(1, 2)))
    assert then.change is not None
    assert then.change.arms == all_to(1)
    broken = replace(
        facts(registry(1, 2), slot(2), proven=(2,)), failed={VersionKey("m", 1): "its file is damaged"}
    )
    without = next_model(state(first), broken)
    assert without.change is None
    assert without.split.arms == all_to(2)


def test_a_model_without_anything_left_is_forgotten() -> None:
    """A model that never had traffic goes when its versions go."""
    wanted = DesiredModel(TrafficSplit("00"), held=held(1), refused={"1": "slow"})
    emptied = next_model(state(wanted), facts(registry(), slot(1)))
    assert emptied.held == ()
    proposal = decide(state(emptied), facts(RegistrySnapshot()))
    assert proposal is not None
    assert proposal.models == {}


def test_the_first_generation_holds_all_models() -> None:
    """A start with several models takes one generation, not one for each."""
    one = registry(1).models["m"]
    other = {2: PublishedVersion("n", 2, "n2", paper_manifest(2))}
    shown = RegistrySnapshot({"m": one, "n": RegistryModel("n", other)})
    look = facts(shown)
    both = {**look.verified, VersionKey("n", 2): Verified("n2", MIB, paper_manifest(2))}
    proposal = settle(state(None, generation=0), replace(look, verified=both))
    assert proposal is not None
    assert {name: wanted.split.stable for name, wanted in proposal.models.items()} == {"m": 1, "n": 2}
    part = settle(state(None, generation=0), replace(look, verified=both), most_steps=1)
    assert part is not None
    assert len(part.models) == 1, "steps are bounded, and what is left is for later"


@pytest.mark.parametrize("policy", [VersionPolicy(latest=2), VersionPolicy(all=True)])
def test_when_not_all_fit_the_newest_do(policy: VersionPolicy) -> None:
    """Of several newcomers the oldest are left out."""
    look = facts(registry(1, 2, 3, settings=ModelSettings(versions=policy)))
    tight = replace(look, limits=Limits(workers=2, memory_bytes=4 * MIB))
    assert versions_of(next_model(state(None), tight))[-1] == 3
    assert len(versions_of(next_model(state(None), tight))) == 2
