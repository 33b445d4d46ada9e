"""Routing: who answers a key, and what a path may name."""

from collections import Counter
from hashlib import blake2b

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftgate.gateway.errors import NotFound, NotServable
from driftgate.gateway.routing.intervals import owned_by
from driftgate.gateway.routing.table import ModelRoute, RoutingTable, bucket_of, served_by
from driftgate.gateway.state.desired import TOTAL_PPM, Arm, TrafficSplit

SALT = "00112233445566778899aabbccddeeff"


KEYS = [b"user-%d" % n for n in range(20_000)]


def decoded(traffic: TrafficSplit) -> TrafficSplit:
    """The split as another process reads it."""
    return msgspec.json.decode(msgspec.json.encode(traffic), type=TrafficSplit)


def split(**weights_ppm: int) -> TrafficSplit:
    """A split whose arms are v1=…, v2=… in the order given."""
    arms = tuple(Arm(name, int(name[1:]), weight) for name, weight in weights_ppm.items())
    return TrafficSplit(SALT, arms)


def chosen(there: ModelRoute[str], key: bytes) -> str:
    """The version that a key gets."""
    target, _ = there.choose(key)
    return target.version


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
    """Over a million keys each arm's share lies within the 99.9 % binomial interval."""
    keys = 1_000_000
    there = route(split(v1=900_000, v2=90_000, v3=10_000), 1, 2, 3)
    found = Counter(chosen(there, b"user-%d" % n) for n in range(keys))
    for version, share in (("v1", 0.9), ("v2", 0.09), ("v3", 0.01)):
        assert abs(found[version] - keys * share) < 3.29 * (keys * share * (1 - share)) ** 0.5


def test_buckets_of_two_salts_are_independent() -> None:
    """Who is first by one salt is spread evenly by the other: chi-squared over ten by ten cells."""
    cells = Counter((bucket_of(b"a" * 16, k) // 100_000, bucket_of(b"b" * 16, k) // 100_000) for k in KEYS)
    assert sum((cells[i, k] - 200) ** 2 / 200 for i in range(10) for k in range(10)) < 200


@given(st.lists(st.sampled_from(KEYS), min_size=1, max_size=50))
def test_every_worker_chooses_alike(keys: list[bytes]) -> None:
    """Two tables of the same split choose the same arm, and the one that owns the key's bucket."""
    traffic = split(v1=300_000, v2=300_000, v3=400_000)
    here, there = route(traffic, 1, 2, 3), route(decoded(traffic), 1, 2, 3)
    for key in keys:
        bucket = bucket_of(traffic.hash_key, key)
        owner = next(v for v, pieces in owned_by(traffic.arms).items() for a, b in pieces if a <= bucket < b)
        assert here.choose(key) == there.choose(key)
        target, found = here.choose(key)
        assert (target.version, found) == (f"v{owner}", bucket)


def test_raising_the_first_arm_only_adds_keys_to_it() -> None:
    """A key that has the first arm keeps it while that arm grows."""
    keys = [str(n).encode() for n in range(2_000)]
    before: set[bytes] = set()
    for weight in (10_000, 50_000, 250_000, 500_000, 1_000_000):
        now = route(split(v2=weight, v1=1_000_000 - weight), 1, 2)
        after = {key for key in keys if chosen(now, key) == "v2"}
        assert before <= after
        before = after


def test_one_arm_needs_no_key() -> None:
    """With a single arm every key gets it, with its propensity of one."""
    target = route(split(v3=1_000_000), 3).single
    assert target is not None
    assert (target.version, target.arm, target.propensity) == ("v3", "v3", 1.0)


def test_keys_of_an_arm_that_is_not_loaded_fall_back() -> None:
    """Keys of an arm that could not be loaded go to the arm with most traffic; nobody else moves."""
    traffic = split(v1=600_000, v2=300_000, v3=100_000)
    whole, part = route(traffic, 1, 2, 3), route(traffic, 1, 3)
    for key in KEYS[:1000]:
        (was, bucket), (now, same) = whole.choose(key), part.choose(key)
        assert bucket == same
        assert now.version == ("v1" if was.version == "v2" else was.version)
        assert (now.why, now.propensity is None) == (
            ("fallback", True) if was.version == "v2" else ("hash", False)
        )


def test_an_ejected_version_answers_only_to_its_number() -> None:
    """Its keys and its label get the stable version, marked; its number still works."""
    traffic = TrafficSplit(SALT, (Arm("stable", 1, 900_000), Arm("canary", 2, 100_000)))
    loaded = {1: "v1", 2: "v2"}
    before, after = ModelRoute("m", traffic, loaded, 7), ModelRoute("m", traffic, loaded, 7, frozenset({2}))
    for key in KEYS[:1000]:
        (was, _), (now, _) = before.choose(key), after.choose(key)
        assert now.version == "v1"
        assert now.why == ("fallback" if was.version == "v2" else "hash")
        assert now.served_by.endswith(now.why.encode())
    assert (after.explicit("canary").version, after.explicit("canary").why) == ("v1", "fallback")
    assert (after.explicit("2").version, after.explicit("2").why) == ("v2", "override")


def test_an_arm_can_be_named() -> None:
    """Whoever names an arm gets it, and that is no evidence: nothing was randomised."""
    there = route(split(v1=990_000, v2=10_000), 1, 2)
    target = there.arm("v2")
    assert (target.version, target.arm, target.propensity, target.why) == ("v2", "v2", None, "override")
    with pytest.raises(NotFound, match="has no arm 'v3' with traffic; there are: v1, v2"):
        there.arm("v3")


def test_the_canary_has_a_label() -> None:
    """While there is a canary it can be asked for by that name."""
    canary = TrafficSplit(SALT, (Arm("stable", 1, 900_000), Arm("canary", 2, 100_000)))
    assert route(canary, 1, 2).explicit("canary").version == "v2"
    with pytest.raises(NotFound):
        route(split(v1=1_000_000), 1, 2).explicit("canary")


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
    """The header names version, arm, generation and why as RFC 8941 wants it."""
    assert served_by(2, "canary", 41, "hash") == b"version=2, arm=canary, generation=41, why=hash"
