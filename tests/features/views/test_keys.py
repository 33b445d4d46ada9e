"""Keys of entities: one spelling each, and nothing that could harm a store, a log or a wire."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftgate.features.errors import InvalidKey
from driftgate.features.views.keys import MAX_KEY_BYTES, KeyCodec, decode_key, encode_key
from driftgate.features.views.view import Feature, FeatureView, JoinKey, KeyDtype


def view_of(*dtypes: KeyDtype) -> FeatureView:
    """Return a view with join keys of these types."""
    keys = tuple(JoinKey(f"k{number}", dtype) for number, dtype in enumerate(dtypes))
    return FeatureView("v", keys, (Feature("f", "float32"),))


TEXT, NUMBER, PAIR, TEXTS = (
    view_of("string"),
    view_of("int64"),
    view_of("string", "int64"),
    view_of("string", "string"),
)
_TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), min_size=1, max_size=30)
_NUMBERS = st.integers(-(2**63), 2**63 - 1)


@given(_TEXTS, _TEXTS, _NUMBERS)
def test_keys_survive_their_bytes(first: str, second: str, number: int) -> None:
    """Every key is read back from its bytes."""
    for view, key in (
        (TEXT, (first,)),
        (NUMBER, (number,)),
        (PAIR, (first, number)),
        (TEXTS, (first, second)),
    ):
        assert decode_key(view, encode_key(view, key)) == key


@given(st.tuples(_TEXTS, _TEXTS), st.tuples(_TEXTS, _TEXTS))
def test_different_keys_have_different_bytes(one: tuple[str, str], other: tuple[str, str]) -> None:
    """However the parts are cut, two keys never share their bytes."""
    codec = KeyCodec(TEXTS)
    assert (codec.encode(one) == codec.encode(other)) == (one == other)


@given(_NUMBERS, _NUMBERS)
def test_numbers_sort_as_numbers(one: int, other: int) -> None:
    """The bytes of int64 keys are in the order of the numbers."""
    codec = KeyCodec(NUMBER)
    assert (codec.encode([one]) < codec.encode([other])) == (one < other)


@pytest.mark.parametrize(
    ("view", "values", "problem"),
    [
        (TEXT, [""], "'k0': 1 to 500 bytes"),
        (TEXT, ["x" * 10_000], "'k0': 1 to 500 bytes"),
        (TEXT, ["é" * 251], "'k0': 1 to 500 bytes"),
        (TEXT, ["a\r\nSET x 1"], "'k0': control"),
        (TEXT, ["a\0"], "'k0': control"),
        (TEXT, ["a\u2028b"], "'k0': control"),
        (TEXT, ["\ud800"], "'k0': control"),
        (TEXT, [7], "'k0': a string is needed, not int"),
        (TEXT, [None], "'k0': a string is needed, not NoneType"),
        (TEXT, [["a"] * 100_000], "'k0': a string is needed, not list"),
        (TEXT, [], r"1 values \(k0\); 0 were"),
        (TEXT, ["a"] * 100_000, "1 values .*100000 were given"),
        (NUMBER, ["7"], "'k0': a whole number is needed, not '7'"),
        (NUMBER, [True], "'k0': a whole number is needed, not True"),
        (NUMBER, [7.0], "'k0': a whole number"),
        (NUMBER, [2**63], "'k0': the number is outside"),
        (PAIR, ["a", "b"], "'k1': a whole number"),
        (TEXTS, ["a" * 250, "b" * 250], "504 bytes together"),
    ],
)
def test_what_is_no_key_is_refused(view: FeatureView, values: list[object], problem: str) -> None:
    """Wrong number, type or length, and control characters, name the join key in a short text."""
    with pytest.raises(InvalidKey, match=problem) as caught:
        encode_key(view, values)
    assert len(str(caught.value)) < 200


@given(st.binary(max_size=40))
def test_bytes_that_are_no_key_are_refused(data: bytes) -> None:
    """Bytes are read as a key only if writing that key gives them again."""
    for view in (NUMBER, PAIR, TEXTS):
        try:
            key = decode_key(view, data)
        except InvalidKey:
            continue
        try:
            assert encode_key(view, key) == data
        except InvalidKey as error:
            assert "control" in str(error) or "1 to 500" in str(error)  # noqa: PT017 - bytes of no writer of ours


def test_the_longest_key_fits() -> None:
    """A key of the longest length is written and read."""
    key = ("x" * MAX_KEY_BYTES,)
    assert decode_key(TEXT, encode_key(TEXT, key)) == key
