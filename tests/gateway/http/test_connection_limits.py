"""What a head may be, and when progress is too slow."""

import pytest

from driftgate.gateway.http.connection_limits import (
    LEAST_BYTES,
    ConnectionLimits,
    Pace,
    Refused,
    check_head,
    check_length,
    check_target,
)

HOST = (b"host", b"x")


@pytest.mark.parametrize(
    ("version", "hosts", "good"),
    [
        ("1.1", 1, True),
        ("1.1", 0, False),
        ("1.1", 2, False),
        ("1.0", 0, True),
        ("1.0", 1, True),
        ("1.0", 2, False),
    ]
    + [(version, 1, False) for version in ("0.9", "2.0", "1.2")],
)
def test_one_host(version: str, hosts: int, good: bool) -> None:
    """HTTP/1.1 names exactly one host, HTTP/1.0 at most one, and nothing else is spoken."""
    headers = [(b"a", b"b"), *[HOST] * hosts]
    if good:
        check_head(version, headers)
    else:
        with pytest.raises(Refused) as refused:
            check_head(version, headers)
        assert refused.value.status == 400


@pytest.mark.parametrize(
    "url",
    [
        b"/",
        b"/v2",
        b"/v2/models/a.b..c/infer",
        b"/v2/",
        b"/a?b=//..%2e",
        b"http://x:80/v2",
        b"/.well-known/x",
    ],
)
def test_plain_targets(url: bytes) -> None:
    """Dots in names, queries and whole URLs are fine."""
    check_target(url)


@pytest.mark.parametrize(
    "url",
    [
        b"//",
        b"/a//b",
        b"/..",
        b"/a/../b",
        b"/./a",
        b"/%2E%2e/a",
        b"/a%2fb",
        b"/a%5Cb",
        b"/a\\b",
        b"/a%00",
        b"/a%0D%0A",
        b"/a%1f",
        b"/a%7F",
        b"https://x//a",
    ],
)
def test_odd_targets(url: bytes) -> None:
    """A path that another program might read as another one is refused."""
    with pytest.raises(Refused):
        check_target(url)


@pytest.mark.parametrize(("most", "length", "good"), [(None, 10**18, True), (10, 10, True), (10, 11, False)])
def test_announced_lengths(most: int | None, length: int, good: bool) -> None:
    """A body that is announced too large is refused at once, where the port has a limit."""
    headers = [(b"content-length", b"%d" % length)]
    limits = ConnectionLimits(max_body_bytes=most)
    if good:
        check_length(headers, limits)
    else:
        with pytest.raises(Refused) as refused:
            check_length(headers, limits)
        assert refused.value.status == 413


@pytest.mark.parametrize(
    ("looks", "slow"),
    [
        ([(0, 0), (9.9, 0)], False),
        ([(0, 0), (10, 0)], True),
        ([(0, 0), (10, LEAST_BYTES - 1)], True),
        ([(0, 0), (9, LEAST_BYTES), (18.9, LEAST_BYTES)], False),
        ([(0, 0), (9, LEAST_BYTES), (19, LEAST_BYTES)], True),
        ([(0, 0), *((second, second * LEAST_BYTES // 9) for second in range(1, 60))], False),
        ([(0, 0), *((second, second * LEAST_BYTES // 11) for second in range(1, 60))], True),
        ([(0, -LEAST_BYTES), (9, 0), (18, 0)], False),
    ],
)
def test_pace(looks: list[tuple[float, int]], slow: bool) -> None:
    """Patience begins anew with every LEAST_BYTES, and only with them."""
    pace = Pace()
    assert any([pace.is_too_slow(now, amount, 10.0) for now, amount in looks]) is slow


def test_a_new_request_has_all_the_time() -> None:
    """What was received of another one does not count."""
    pace = Pace()
    assert not pace.is_too_slow(0.0, 0, 10.0)
    pace.reset()
    assert not pace.is_too_slow(15.0, 0, 10.0)
    assert pace.is_too_slow(25.0, 0, 10.0)
