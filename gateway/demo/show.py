"""The demo from start to end: train, publish, serve, ask, swap while asking, and sum up."""

import subprocess
import time

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from driftgate.gateway.demo.children import child, last_lines
from driftgate.gateway.demo.drift import show_drift
from driftgate.gateway.demo.held_out import HeldOut, load
from driftgate.gateway.demo.server import Server
from driftgate.gateway.demo.summary import Shown, Summary, summarise
from driftgate.gateway.demo.traffic import CONNECTIONS, REQUESTS_PER_S, Target, Traffic
from driftgate.gateway.demo.workplace import Workplace

MODELS = ("flight_delay", "tumour")
STEPS_PER_JOB = 2 + 2 * len(MODELS)
STEADY_S = 3.0


class JobFailed(Exception):
    """The training job did not end well; the text shows the end of its log."""


def train_and_publish(place: Workplace, version: int, console: Console) -> tuple[HeldOut, ...]:
    """Run the training job for one version of each model, showing its progress."""
    words = ["driftgate.gateway.demo.job", "--version", str(version)]
    words += ["--registry", str(place.registry), "--features", str(place.features)]
    words += ["--held-out", str(place.held_out)]
    log = place.log("training")
    # Requests flow meanwhile, so the job leaves the other cores alone.
    with child(words, log, {"OMP_NUM_THREADS": "1"}, subprocess.PIPE) as job, _progress(console) as progress:
        task = progress.add_task(f"training version {version}", total=STEPS_PER_JOB)
        for line in job.stdout or ():
            progress.update(task, advance=1, description=line.strip())
        if job.wait() != 0:
            raise JobFailed(f"training version {version} failed:\n{last_lines(log)}")
        progress.update(task, description=f"version {version} of both models published")
    return tuple(load(place.held_out, model, version) for model in MODELS)


def swap_under_traffic(
    place: Workplace, server: Server, first: tuple[HeldOut, ...], console: Console
) -> Summary:
    """Send held-out rows while version 2 of each model is trained, published and promoted; sum up.

    Then a stored feature drifts; what is predicted from it is no longer what the estimators would say.
    """
    console.print("starting driftgate serve")
    targets = tuple(Target(one, server.wait_until_ready(one.model, one.version)) for one in first)
    console.print(f"sending held-out rows: {REQUESTS_PER_S} requests a second over {CONNECTIONS} connections")
    start = time.monotonic()
    with Traffic(server.data_url, targets) as traffic:
        time.sleep(STEADY_S)
        second = train_and_publish(place, 2, console)
        for one in second:
            server.wait_until_ready(one.model, one.version)
            server.promote(one.model, one.version)
            console.print(f"{one.model}: version {one.version} has all traffic")
        time.sleep(STEADY_S)
        seconds, answers = time.monotonic() - start, tuple(traffic.answers)
        drift = show_drift(place, server, second[0].version, console)
    errors = [answer for answer in traffic.answers[len(answers) :] if answer.error]
    return summarise((*answers, *errors), (*first, *second), Shown(seconds, server.urls, drift))


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description:<42}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
    )
