"""Declarations of feature views."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftgate.features.errors import InvalidView
from driftgate.features.views.declaration import (
    VIEWS_DIRECTORY,
    declared_view,
    declared_views,
    parse_view,
    python_views,
    view_text,
    write_view,
)
from driftgate.features.views.view import EVENT_TIME, Feature, FeatureView, JoinKey

PLANES = """\
description = "planes"
ttl_s = 60

[[join_keys]]
name = "tailnum"

[[features]]
name = "year"
dtype = "float32"
default = 2001
on_missing = "default"

[[features]]
name = "embedding"
dtype = "float32"
length = 3
"""


def test_a_declaration_is_read() -> None:
    """A TOML declaration gives the view, named as its file."""
    view = parse_view(PLANES, "planes.toml", "planes")
    assert view == FeatureView(
        name="planes",
        join_keys=(JoinKey("tailnum"),),
        features=(
            Feature("year", "float32", default=2001, on_missing="default"),
            Feature("embedding", "float32", length=3),
        ),
        ttl_s=60,
        description="planes",
    )


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("ttl_s = 60", "ttl_s = -1", 2),
        ("ttl_s = 60", "ttl = 60", 2),
        ("ttl_s = 60", 'name = "other"', 2),
        ('name = "tailnum"', 'name = "tail\\u0000num"', 5),
        ('name = "tailnum"', 'name = "tailnum"\ndtype = "float32"', 6),
        ('dtype = "float32"\ndefault', 'dtype = "float16"\ndefault', 9),
        ("default = 2001", 'default = "x"', 10),
        ("default = 2001\n", "", 7),
        ('on_missing = "default"', "", 10),
        ("length = 3", "length = 0", 16),
        ("length = 3", "lenght = 3", 16),
        ('name = "embedding"', 'name = "year"', 14),
        ('name = "embedding"', 'name = "embedding" x', 14),
        ('"embedding"\ndtype = "float32"', '"embedding"', 13),
    ],
)
def test_an_error_names_the_line(old: str, new: str, line: int) -> None:
    """What is wrong with a declaration is told with the file and the line."""
    text = PLANES.replace(old, new)
    assert text != PLANES
    with pytest.raises(InvalidView, match=rf"planes\.toml.*line {line}\b"):
        parse_view(text, "planes.toml", "planes")


_TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
_NAMES = st.text(st.characters(categories=["L", "N", "P"]), min_size=1, max_size=12).filter(
    lambda name: name != EVENT_TIME
)


@given(_TEXTS, _TEXTS, st.lists(_NAMES, min_size=2, max_size=6, unique=True), st.floats(0.001, 1e9))
def test_a_view_survives_its_text(description: str, unit: str, names: list[str], ttl_s: float) -> None:
    """Writing a view as TOML and reading it gives the same view."""
    features = tuple(
        Feature(name, "float64", unit=unit, default=(0.5, 1.0), length=2, on_stale="default")
        for name in names[1:]
    )
    view = FeatureView("v", (JoinKey(names[0], "int64"),), features, ttl_s, description)
    assert parse_view(view_text(view), "v.toml") == view


def test_a_registry_tells_sound_views_from_others(tmp_path: Path) -> None:
    """One bad declaration, or a link, spoils no other; without any there are none."""
    assert declared_views(tmp_path).views == {}
    view = parse_view(PLANES, "planes.toml", "planes")
    path = write_view(tmp_path, view)
    (tmp_path / VIEWS_DIRECTORY / "bad.toml").write_text("x = ")
    (tmp_path / VIEWS_DIRECTORY / "link.toml").symlink_to(path)
    found = declared_views(tmp_path)
    assert found.views == {"planes": view}
    assert found.problems.keys() == {"bad", "link"}
    assert declared_view(tmp_path, "planes") == view
    with pytest.raises(InvalidView, match="no view 'none' is declared"):
        declared_view(tmp_path, "none")


def test_a_python_file_declares_views(tmp_path: Path) -> None:
    """The variables of a Python file that hold views are what it declares."""
    file = tmp_path / "views.py"
    file.write_text(
        "from driftgate.features.views.view import Feature, FeatureView, JoinKey\n"
        "cards = FeatureView('cards', (JoinKey('card'),), (Feature('n', 'int64'),))\n"
    )
    assert [view.name for view in python_views(file)] == ["cards"]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('name = "tailnum"', 'name = "tailnum"\ndtype = "float32"', "one of string, int64 is needed"),
        ('dtype = "float32"\ndefault', 'dtype = "float16"\ndefault', "one of float32, float64, int32"),
        ('on_missing = "default"', 'on_missing = "last"', "one of default, null, error is needed"),
    ],
)
def test_a_wrong_word_is_answered_with_the_right_ones(old: str, new: str, words: str) -> None:
    """Whoever mistypes a type or a policy is told which there are."""
    assert old in PLANES
    with pytest.raises(InvalidView, match=words):
        parse_view(PLANES.replace(old, new, 1), "planes.toml", "planes")


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("a = 1\nb = 1 / 0\n", "line 2: ZeroDivisionError"),
        ("a = (\n", "line 1: SyntaxError"),
        ("a = 1\n", "no variable holds"),
        (
            "from driftgate.features.views.view import *\nv = FeatureView('v', (JoinKey(3),), ())\n",
            "view 'v': .*join_keys",
        ),
    ],
)
def test_an_error_in_python_names_the_line(tmp_path: Path, text: str, match: str) -> None:
    """What is wrong with a Python declaration is told with the file and, where there is one, the line."""
    file = tmp_path / "views.py"
    file.write_text(text)
    with pytest.raises(InvalidView, match=rf"views\.py.*{match}"):
        python_views(file)
