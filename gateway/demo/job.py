"""The demo's training job, a process of its own: fit one version of each model and publish it.

Prints one line for each step that is done; leaves the held-out rows beside the registry.
"""

import argparse
import sys
from pathlib import Path

import pandas as pd

import driftgate
from driftgate.gateway.demo.flights import MissingTables
from driftgate.gateway.demo.held_out import HeldOut, Row, save
from driftgate.gateway.demo.stored import declare_and_load
from driftgate.gateway.demo.training import Trained, problems, train
from driftgate.models.errors import ModelError

ROWS_SENT = 400


def main() -> None:
    """Train and publish `--version` of both models into `--registry`, features into `--features`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--version", type=int, required=True)
    parser.add_argument("--registry", type=Path, required=True)
    parser.add_argument("--features", type=Path, required=True)
    parser.add_argument("--held-out", type=Path, required=True)
    given = parser.parse_args()
    try:
        declare_and_load(given.registry, given.features)
        _done("features of planes and weather loaded")
        _run(given.version, given.registry, given.held_out)
    except (ModelError, MissingTables) as error:
        sys.exit(str(error))


def held_out_of(trained: Trained, probabilities: str) -> HeldOut:
    """Return what is kept of a trained version, to send and to compare with."""
    problem = trained.problem
    some = problem.held_out[:ROWS_SENT]
    return HeldOut(
        model=problem.model,
        version=trained.version,
        auc=trained.auc,
        held_out_rows=len(problem.held_out),
        probabilities=probabilities,
        rows=tuple(rows_of(some[list(problem.sent or problem.features)])),
        labels=tuple(some[problem.target].tolist()),
        scores=tuple(trained.scores[:ROWS_SENT].tolist()),
    )


def rows_of(frame: pd.DataFrame) -> list[Row]:
    """Return a frame's rows as a client sends them: missing values are null."""
    present = frame.astype(object).where(frame.notna(), None)
    return [{str(name): value for name, value in row.items()} for row in present.to_dict("records")]


def _run(version: int, registry: Path, held_out: Path) -> None:
    known = problems()
    _done("data read")
    for problem in known:
        trained = train(problem, version)
        _done(f"{problem.model} v{version} trained")
        published = driftgate.publish(
            trained.estimator,
            name=problem.model,
            version=version,
            registry=registry,
            reference=problem.reference[[*problem.features, problem.target]],
            target=problem.target,
            features=problem.binding,
            columns=[{"name": name, "unit": unit} for name, unit in problem.units.items()],
            meta={"auc_on_later_rows": f"{trained.auc:.4f}"},
        )
        roles = {output.role: output.name for output in published.manifest.task.outputs}
        save(held_out_of(trained, roles["probabilities"]), held_out)
        _done(f"{problem.model} v{version} published")


def _done(step: str) -> None:
    print(step, flush=True)


if __name__ == "__main__":
    main()
