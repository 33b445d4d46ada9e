"""Where a version comes from: when, by which libraries, at which git revision, from which data."""

import shutil
import subprocess
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from driftgate.models.schema.manifest import Provenance

GIT_TIMEOUT_S = 5.0


def provenance_now(
    source: str,
    libraries: Iterable[str] = ("driftgate", "numpy", "onnxruntime"),
    estimator: str | None = None,
    training_data_sha256: str | None = None,
) -> Provenance:
    """Return the provenance of something published now, from the working directory.

    `libraries` are distribution names; those that are not installed are left out.
    """
    return Provenance(
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        source=source,
        libraries=_versions(libraries),
        git_revision=git_revision(Path.cwd()),
        training_data_sha256=training_data_sha256,
        estimator=estimator,
    )


def git_revision(directory: Path) -> str | None:
    """Return the commit of `directory`, with `-dirty` where files differ; None outside a repository."""
    revision = _git(directory, "rev-parse", "HEAD")
    if not revision:
        return None
    changed = _git(directory, "status", "--porcelain", "--untracked-files=no")
    return revision if changed == "" else f"{revision}-dirty"


def _git(directory: Path, *arguments: str) -> str | None:
    git = shutil.which("git")
    if git is None:
        return None
    try:
        result = subprocess.run(
            [git, "-C", str(directory), *arguments], capture_output=True, timeout=GIT_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return result.stdout.decode(errors="replace").strip() if result.returncode == 0 else None


def _versions(libraries: Iterable[str]) -> dict[str, str]:
    found = {}
    for library in libraries:
        try:
            found[library] = metadata.version(library)
        except metadata.PackageNotFoundError:
            continue
    return found
