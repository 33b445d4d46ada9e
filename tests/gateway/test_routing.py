"""Routing: who answers a key, and what a path may name."""

from hashlib import blake2b

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftgate.gateway.desired import TOTAL_PPM, Arm, TrafficSplit
from driftgate.gateway.errors import NotFound, NotServable
from driftgate.gateway.routing import ModelRoute, RoutingTable, bucket_of, served_by

SALT = "00112233445566778899aabbccddeeff"


def split(**weights_ppm: int) -> TrafficSplit:
    """A split whose arms are v1=…, v2=… in the order given."""
    arms = tuple(Arm(name, int(name[1:]), weight) for name, weight in weights_ppm.items())
    return TrafficSplit(SALT, arms)


def route(traffic: TrafficSplit, *versions: int) -> ModelRoute[str]:
    """A route whose loaded versions are their own names."""
    return ModelRoute("m", traffic, {version: f"v{version}" for version in versions}, 7)


def test_bucket_is_the_published_hash() -> None:
    """The bucket is the keyed blake2b of the key, scaled to a million by multiply and shift."""
    number = int.from_bytes(blake2b(b"user-1", digest_size=8, key=b"salt").digest(), "big")
    assert bucket_of(b"salt", b"user-1") == number * 1_000_000 // 2**64


@given(st.binary(max_size=64))
def test_bucket_is_in_range(key: bytes) -> None:
    """Every key has one of a million buckets."""
    assert 0 <= bucket_of(b"salt", key) < TOTAL_PPM


def test_shares_are_those_of_the_split() -> None:
    """Over many keys each arm gets its weight, within five standard errors."""
    chosen = [
        route(split(v1=900_000, v2=100_000), 1, 2).choose(str(n).encode()).version for n in range(20_000)
    ]
    assert abs(chosen.count("v2") - 2_000) < 5 * (20_000 * 0.1 * 0.9) ** 0.5


def test_raising_the_first_arm_only_adds_keys_to_it() -> None:
    """A key that has the first arm keeps it while that arm grows."""
    keys = [str(n).encode() for n in range(2_000)]
    before: set[bytes] = set()
    for weight in (10_000, 50_000, 250_000, 500_000, 1_000_000):
        now = route(split(v2=weight, v1=1_000_000 - weight), 1, 2)
        after = {key for key in keys if now.choose(key).version == "v2"}
        assert before <= after
        before = after


def test_one_arm_needs_no_key() -> None:
    """With a single arm every key gets it, with its propensity of one."""
    target = route(split(v3=1_000_000), 3).single
    assert target is not None
    assert (target.version, target.arm, target.propensity) == ("v3", "v3", 1.0)


def test_arm_without_a_loaded_version_gets_nothing() -> None:
    """Traffic of an arm that could not be loaded goes to the arms that could."""
    only = route(split(v1=500_000, v2=500_000), 2)
    assert {only.choose(str(n).encode()).version for n in range(100)} == {"v2"}


def test_no_traffic_is_said() -> None:
    """A model whose versions are loaded and have no weight refuses, naming the model."""
    with pytest.raises(NotServable, match="'m' has no version with traffic"):
        route(TrafficSplit(SALT), 1).choose(b"k")


@pytest.mark.parametrize(("name", "version"), [("1", "v1"), ("2", "v2"), ("stable", "v1"), ("latest", "v2")])
def test_versions_and_labels_are_explicit(name: str, version: str) -> None:
    """A number or a label names its version, whatever the split says, and has no propensity."""
    target = route(split(v1=1_000_000), 1, 2).explicit(name)
    assert (target.version, target.propensity) == (version, None)


def test_unknown_version_is_not_found() -> None:
    """A version that is not loaded is named in the error."""
    with pytest.raises(NotFound, match="model: 'm' version 9 is not found"):
        route(split(v1=1_000_000), 1).explicit("9")


def test_unknown_model_is_not_found() -> None:
    """A model that is not in the table is named in the error."""
    with pytest.raises(NotFound, match="unknown model: 'nope' is not found"):
        RoutingTable[str](1, {}).route("nope")


def test_served_by_is_a_structured_dictionary() -> None:
    """The header names version, arm and generation as RFC 8941 wants it."""
    assert served_by(2, "canary", 41) == b"version=2, arm=canary, generation=41"
