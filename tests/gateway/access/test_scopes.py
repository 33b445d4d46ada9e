"""Scopes: what they allow, and how they are spelt."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftgate.gateway.access.scopes import EVERY, SOME, VERBS, Need, Scope, Verb, parse_scope
from driftgate.gateway.errors import BadRequest

NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True)


@pytest.mark.parametrize(
    ("scope", "verb", "name", "allowed"),
    [
        ("infer:fraud", "infer", "fraud", True),
        ("infer:fraud", "infer", "fraud-2", False),
        ("infer:fraud", "infer", "Fraud", False),
        ("infer:fraud*", "infer", "fraud-2", True),
        ("infer:f?aud", "infer", "fraud", True),
        ("infer:fraud", "read", "fraud", False),
        ("infer:fraud*", "infer", "*", False),
        ("read:*", "read", "*", True),
        ("read:*", "infer", "fraud", False),
        ("publish:fraud", "read", "fraud", True),
        ("operate:fraud", "read", "fraud", True),
        ("operate:fraud", "read", "*", False),
        ("operate:fraud", "infer", "fraud", False),
        ("feedback:*", "features", "fraud", False),
        ("admin", "infer", "fraud", True),
        ("admin", "operate", "*", True),
    ],
)
def test_what_a_scope_allows(scope: str, verb: Verb, name: str, allowed: bool) -> None:
    """A scope is good for its verb, what that includes, and the names of its pattern."""
    assert parse_scope(scope).allows(verb, name) is allowed


@given(st.sampled_from(VERBS), NAMES, NAMES)
def test_a_name_is_a_pattern_for_itself_alone(verb: Verb, name: str, other: str) -> None:
    """A scope without wildcards never reaches another model."""
    scope = parse_scope(f"{verb}:{name}")
    assert scope.allows(verb, name)
    assert scope.allows(verb, other) is (name == other)


@pytest.mark.parametrize(
    "text",
    ["", "infer", "infer:", "infer: a", "infer:a b", "infer:[a-z]", "infer:*/x", "admin:*", "Admin", "all:*"],
)
def test_what_is_no_scope_is_refused(text: str) -> None:
    """A scope that is spelt wrongly is refused when the token is made, with how to spell it."""
    with pytest.raises(BadRequest, match="is no scope: use admin, or one of infer, feedback"):
        parse_scope(text)


@pytest.mark.parametrize(
    ("scope", "every", "some"),
    [
        (Scope("read", "*"), True, True),
        (Scope("operate", "fraud*"), False, True),
        (Scope("infer", "*"), False, False),
        (Scope("admin"), True, True),
    ],
)
def test_what_is_about_many_models(scope: Scope, every: bool, some: bool) -> None:
    """A scope for one model opens what tells its holder of that model, not what is about all."""
    assert Need(("read",), EVERY).is_met_by((scope,), EVERY) is every
    assert Need(("read",), SOME).is_met_by((scope,), SOME) is some


@pytest.mark.parametrize("name", ["?", "*", "**", "[a-z]"])
def test_no_name_in_a_path_stands_for_many_models(name: str) -> None:
    """Who may see one model gets nowhere with a name that is a pattern."""
    assert not Need(("read",), "model").is_met_by((parse_scope("read:fraud"),), name)


def test_a_need_without_verbs_is_the_administrators() -> None:
    """What no verb covers takes `admin`, and what is open takes nothing."""
    everything = tuple(Scope(verb) for verb in VERBS)
    assert not Need().is_met_by(everything, "*")
    assert Need().is_met_by((Scope("admin"),), "*")
    assert Need(open=True).is_met_by((), "*")
    assert Need(("infer", "read"), "model").text("fraud") == "infer:fraud or read:fraud or admin"
