"""Names of gateways."""

from pathlib import Path

import pytest
import typer

from driftgate.gateway.cli.contexts import server_url


@pytest.fixture
def contexts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of the one who calls."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "driftgate").mkdir()
    return tmp_path / "driftgate" / "contexts.toml"


def test_a_context_stands_for_a_url(contexts: Path) -> None:
    """A name is looked up, a URL is taken as it is, whatever the file says."""
    contexts.write_text('[prod]\nserver = "http://10.0.0.5:8090"\n')
    assert server_url("prod") == "http://10.0.0.5:8090"
    contexts.write_text("rubbish")
    assert server_url("http://[::1]:8090") == "http://[::1]:8090"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[prod]\nserver = "http://a"\n[test]\nserver = "http://b"\n', "are prod, test"),
        ("", "are none"),
        ("[there]\n", "server"),
        ("[there]\nserver = 5\n", "server"),
        ('[there]\nserver = "http://a"\nport = 1\n', "port"),
        ("there", "cannot be read"),
        ("\xff\xfe", "cannot be read"),
    ],
)
def test_an_unknown_context_is_wrong_usage(contexts: Path, text: str, says: str) -> None:
    """It says which ones there are, or what is wrong with the file."""
    contexts.write_bytes(text.encode("latin-1"))
    with pytest.raises(typer.BadParameter) as raised:
        server_url("there")
    assert says in str(raised.value)


def test_without_a_file_there_are_none(contexts: Path) -> None:
    """Nobody needs contexts."""
    with pytest.raises(typer.BadParameter, match="are none"):
        server_url("there")
