"""Tokens: whose they are, that none can be guessed, and what is kept of them."""

import random
import time
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftgate.gateway.access.tokens import (
    ID_BYTES,
    MAX_TOKENS,
    SECRET_BYTES,
    Quota,
    Token,
    TokenFile,
    TokenSet,
    UnreadableTokens,
    bearer,
    check_name,
    check_scopes,
    decode_tokens,
    digest_of,
    encode_tokens,
    id_of,
    is_same,
    quota_of,
    token_text,
    with_token,
    without_token,
)
from driftgate.gateway.errors import BadRequest

RANDOM_TOKENS = 100_000
PAIRS, COMPARISONS = 2000, 100


def made(text: str, **fields: object) -> Token:
    """Return what is kept of a token."""
    plain = Token(
        id=id_of(text), name="t", digest=digest_of(text), scopes=("infer:*",), created_at="", created_by=""
    )
    return msgspec.structs.replace(plain, **fields)


def random_text(rng: random.Random) -> str:
    """Return a token from seeded bits."""
    return token_text(rng.randbytes(ID_BYTES), rng.randbytes(SECRET_BYTES))


def test_a_token_is_its_holders_alone() -> None:
    """A good token finds its holder; nothing else does, and a revoked one is as good as none."""
    good, gone = (random_text(random.Random(seed)) for seed in (1, 2))
    tokens = TokenSet([made(good), made(gone, revoked_at="now")])
    holder = tokens.holder_of(good)
    assert holder is not None
    assert (holder.id, len(tokens)) == (id_of(good), 1)
    for wrong in (gone, "", good[:-1], good + "a", good.upper(), f" {good}", good.replace("_", "-")):
        assert tokens.holder_of(wrong) is None


def test_no_random_token_is_accepted() -> None:
    """Of 100,000 random tokens none is accepted, half of them with the id of a good one."""
    rng = random.Random(3)
    texts = [random_text(rng) for _ in range(100)]
    tokens = TokenSet(map(made, texts))
    for number in range(RANDOM_TOKENS):
        guess = random_text(rng)
        if number % 2:
            guess = f"dg_{id_of(texts[number % 100])}_{guess.rpartition('_')[2]}"
        assert tokens.holder_of(guess) is None
    assert all(tokens.holder_of(text) for text in texts)


def wins_of_the_first_byte(same: Callable[[bytes, bytes], bool], seed: int) -> float:
    """Return by how many standard deviations too often a wrong first byte is found sooner than a last."""
    rng = random.Random(seed)
    sooner = differing = 0
    for _ in range(PAIRS):
        kept = rng.randbytes(32)
        # Made and timed in random order: where an object lies in memory has its own effect.
        wrong = {place: _changed(kept, place) for place in rng.sample((0, 31), 2)}
        order = rng.sample((0, 31), 2)
        taken = {place: _time_of(same, wrong[place], kept) for place in order}
        differing += taken[0] != taken[31]
        sooner += taken[0] < taken[31]
    return float((sooner - differing / 2) / (differing**0.5 / 2))


def _changed(digest: bytes, place: int) -> bytes:
    return digest[:place] + bytes([digest[place] ^ 1]) + digest[place + 1 :]


def _time_of(same: Callable[[bytes, bytes], bool], given_: bytes, kept: bytes) -> int:
    began = time.perf_counter_ns()
    for _ in range(COMPARISONS):
        same(given_, kept)
    return time.perf_counter_ns() - began


def test_comparing_takes_as_long_wherever_digests_differ() -> None:
    """A sign test over fresh pairs sees no difference between a wrong first and a wrong last byte.

    The same test finds the plain comparison of bytes out at once.
    """
    assert abs(wins_of_the_first_byte(is_same, 5)) < 5
    assert wins_of_the_first_byte(lambda one, other: one == other, 5) > 10


@pytest.mark.parametrize(
    ("header", "token"),
    [
        (b"Bearer dg_a_b", "dg_a_b"),
        (b"bearer  dg_a_b ", "dg_a_b"),
        (b"Bearer", None),
        (b"Bearer ", None),
        (b"Basic dg_a_b", None),
        (b"dg_a_b", None),
        (b"Bearer \xff", None),
        (b"", None),
    ],
)
def test_the_bearer_scheme_alone_is_spoken(header: bytes, token: str | None) -> None:
    """The token follows the word Bearer, in any case."""
    assert bearer(header) == token


@given(st.binary(max_size=200))
def test_any_header_is_read_or_refused(header: bytes) -> None:
    """No bytes a client can send make reading them fail."""
    text = bearer(header)
    assert text is None or TokenSet().holder_of(text) is None


def test_a_file_is_read_back_as_it_was_written() -> None:
    """What was written is read; the secret is not in it."""
    text = random_text(random.Random(4))
    file = with_token(TokenFile(), made(text, quota=Quota(2.0, 3)))
    data = encode_tokens(file)
    assert decode_tokens(data) == file
    assert text.rpartition("_")[2].encode() not in data


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b'{"format": 2, "tokens": []}', b'{"format": 1, "tokens": [{"id": "x"}]}']
)
def test_a_damaged_file_is_told(data: bytes) -> None:
    """A file that is damaged, or newer than this program, is no empty file."""
    with pytest.raises(UnreadableTokens):
        decode_tokens(data)


def test_a_token_that_makes_no_sense_is_told() -> None:
    """A digest that is none, or a scope that no one knows, does not pass for a token."""
    text = random_text(random.Random(6))
    for wrong in (made(text, digest="zz"), made(text, scopes=("fly:*",))):
        with pytest.raises(UnreadableTokens):
            TokenSet([wrong])


def test_cells_are_shared_by_no_two_good_tokens() -> None:
    """Each quota has a cell of its own, and one that was revoked leaves its cell to the next."""
    rng = random.Random(7)
    file = TokenFile()
    for _ in range(3):
        file = with_token(file, made(random_text(rng), quota=Quota(1.0, 1)))
    changed = without_token(file, file.tokens[1].id, "now", "me")
    assert changed is not None
    file = with_token(changed, made(random_text(rng), quota=Quota(1.0, 1)))
    good = [token for token in file.tokens if not token.revoked_at]
    assert sorted(token.quota.cell for token in good if token.quota) == [0, 1, 2]
    assert without_token(file, "nobody", "now", "me") is None


def test_there_is_a_most_of_tokens() -> None:
    """Tokens are bounded, as cells are."""
    rng = random.Random(8)
    full = TokenFile(tokens=tuple(made(random_text(rng)) for _ in range(MAX_TOKENS)))
    with pytest.raises(BadRequest, match="revoke"):
        with_token(full, made(random_text(rng)))


def test_wishes_are_checked() -> None:
    """A name is a line of text, scopes are at least one, and a burst needs a rate."""
    assert check_scopes(["infer:a", "infer:a", "read:*"]) == ("infer:a", "read:*")
    assert quota_of(None, None) is None
    assert quota_of(2.5, None) == Quota(2.5, 3)
    for wrong in ("", "a\nb", "a" * 129, "\x1b[31m"):
        with pytest.raises(BadRequest):
            check_name(wrong)
    with pytest.raises(BadRequest):
        check_scopes([])
    for rate, burst in ((None, 3), (0.0, None), (-1.0, 1), (float("nan"), None), (2e6, None), (1.0, 0)):
        with pytest.raises(BadRequest):
            quota_of(rate, burst)
