"""Where commands find a token, and what is taken for none."""

from pathlib import Path

import pytest

from driftgate.gateway.cli.access_token import NoToken, access_token, environment_token


def test_a_file_wins_over_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token is read from the file that is named, else from the variable, without its line end."""
    monkeypatch.delenv("DRIFTGATE_TOKEN", raising=False)
    monkeypatch.delenv("DRIFTGATE_TOKEN_FILE", raising=False)
    assert environment_token() is None
    monkeypatch.setenv("DRIFTGATE_TOKEN", "dg_1_a\n")
    assert (access_token(None), environment_token()) == ("dg_1_a", "dg_1_a")
    (tmp_path / "token").write_text("dg_2_b\n")
    monkeypatch.setenv("DRIFTGATE_TOKEN_FILE", str(tmp_path / "token"))
    assert environment_token() == "dg_2_b"
    assert access_token(None, "DRIFTGATE_TO_TOKEN") is None


@pytest.mark.parametrize("content", [b"", b"  \n", b"a b", b"a\nb", b"\xff", "é".encode(), b"a\x1b[0m"])
def test_what_is_no_token_is_not_sent(tmp_path: Path, content: bytes) -> None:
    """Line ends, spaces and control characters never get into a header."""
    (tmp_path / "token").write_bytes(content)
    with pytest.raises(NoToken, match="token"):
        access_token(tmp_path / "token")
    with pytest.raises(NoToken, match="No such file"):
        access_token(tmp_path / "absent")
