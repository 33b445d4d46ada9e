"""What tests look at, and put in place, in the directories of a registry."""

import os
import shutil
from pathlib import Path


def visible(directory: Path) -> set[str]:
    """Return the names in a model's directory that a registry looks at."""
    return {path.name for path in directory.iterdir() if not path.name.startswith(".")}


def replace_by_link(path: Path) -> None:
    """Put a link to the same thing, moved away."""
    path.rename(path.with_name("moved-away"))
    path.symlink_to("moved-away")


def replace_by_fifo(path: Path) -> None:
    """Put a FIFO, which blocks whoever opens it without care."""
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    os.mkfifo(path)


def replace_by_hard_link(path: Path) -> None:
    """Give a file a second name."""
    os.link(path, path.with_name("second-name"))


def replace_by_directory(path: Path) -> None:
    """Put a directory in place of a file."""
    path.unlink()
    path.mkdir()
