"""Where Redis is, and the password that belongs to it."""

from pathlib import Path

import pytest

from driftgate.features.redis.address import RedisAddress


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://host", "redis://:hu%40sh%2F@host"),
        ("redis://ann@host:6380/3", "redis://ann:hu%40sh%2F@host:6380/3"),
        ("rediss://ann@[::1]:6380/0", "rediss://ann:hu%40sh%2F@[::1]:6380/0"),
        ("unix:///run/redis.sock?db=2", "unix://:hu%40sh%2F@/run/redis.sock?db=2"),
        ("unix://ann@/run/redis.sock", "unix://ann:hu%40sh%2F@/run/redis.sock"),
    ],
)
def test_the_password_of_the_file_is_put_in(tmp_path: Path, url: str, expected: str) -> None:
    """The password is quoted and put beside the user, whatever the URL is like."""
    path = tmp_path / "password"
    path.write_text("hu@sh/\n")
    address = RedisAddress(url, str(path))
    assert address.with_password() == expected
    assert "hu" not in repr(address)


@pytest.mark.parametrize("content", [None, b"", b" \n", b"\xff"])
def test_without_a_password_in_its_file_there_is_none(tmp_path: Path, content: bytes | None) -> None:
    """A file that is missing, empty or no text is said to be so, without its path."""
    path = tmp_path / "password"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match="file with the password") as caught:
        RedisAddress("redis://host", str(path)).with_password()
    assert str(tmp_path) not in str(caught.value)
