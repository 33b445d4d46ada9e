"""The files that `driftgate apply` takes, and what it says of wrong ones."""

from pathlib import Path

import pytest

from driftgate.gateway.admin.settings_tree import InvalidTree, read_tree


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('owner = "a"\npromot = "auto"\n', "m/model.toml, line 2: Object contains unknown field `promot`"),
        ("[log]\nsample = 2.0\n", "m/model.toml, line 2: "),
        ('owner = "a"\nowner = "b"\n', "m/model.toml, line 2, column 12: "),
        ('owner = "a\n', "m/model.toml, line 1, column 11: "),
        ("owner = [", "m/model.toml, end of document: "),
        ('owner = "a"\n\xff', "m/model.toml, line 2: this is not UTF-8"),
        ("#" * 10_000_000, "settings are a few lines"),
    ],
    ids=["unknown key", "out of range", "twice", "no end", "cut off", "bytes", "10 MB"],
)
def test_a_mistake_is_named_with_file_and_line(tmp_path: Path, text: str, message: str) -> None:
    """Whatever is wrong with a file, the person who wrote it is told where."""
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "model.toml").write_bytes(text.encode("latin-1"))
    with pytest.raises(InvalidTree) as refused:
        read_tree(tmp_path)
    assert message in str(refused.value)


def test_the_directory_of_one_model_is_no_tree(tmp_path: Path) -> None:
    """Who names the directory of one model is told to name its file."""
    (tmp_path / "model.toml").write_text('owner = "a"\n')
    with pytest.raises(InvalidTree, match=r"directory of one model: name its file, .*model\.toml"):
        read_tree(tmp_path)
    (only,) = read_tree(tmp_path / "model.toml", "m")
    assert (only.model, only.settings.owner) == ("m", "a")
