"""What the proofs have in common: a gateway with versions that sign their answers, and traffic on it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from loadtests.arrivals import steady
from loadtests.bodies import signed_questions
from loadtests.gateway import Failed, Gateway, Setup, publish, running, wait_traffic, workplace
from loadtests.open_loop import OpenLoop, Plan, Run
from loadtests.play import measure_peak
from loadtests.target import Target
from loadtests.wire import Address

MODEL = "m"
LONGEST_S = 4 * 3600.0
LOOK_S = 0.01


@dataclass
class Flow:
    """Traffic that goes on beside a proof; `run` is there when it has ended."""

    loop: OpenLoop
    ended: Run | None = None

    @property
    def run(self) -> Run:
        """What came of it."""
        if self.ended is None:
            raise Failed("the traffic has not ended yet")
        return self.ended


def signed_target() -> Target:
    """Return questions that only the version named in the answer can answer rightly."""
    return Target(MODEL, signed_questions(MODEL))


@contextmanager
def prepared(versions: int, setup: Setup) -> Iterator[Gateway]:
    """A gateway with so many versions of the model that signs its answers."""
    with workplace() as root:
        publish_signed(root, versions)
        with running(root, setup) as gateway:
            wait_traffic(gateway, MODEL)
            yield gateway


def publish_signed(root: Path, versions: int) -> None:
    """Publish versions 1 to `versions`."""
    for version in range(1, versions + 1):
        publish(root, "signed", MODEL, version)


@asynccontextmanager
async def traffic(
    target: Target, address: Address, rate: float, connections: int = 64
) -> AsyncIterator[Flow]:
    """Send at a fixed rate until the block ends; it ends with an error if sending does."""
    flow = Flow(OpenLoop(Plan((target,), steady(rate, LONGEST_S), connections), address))
    task = asyncio.create_task(flow.loop.run())
    try:
        yield flow
    finally:
        flow.loop.stop()
        flow.ended = await task


async def half_of_peak(gateway: Gateway) -> float:
    """Measure the peak and return half of it."""
    return (await measure_peak((signed_target(),), Address.of(gateway.data))).rate / 2


async def eventually(condition: Callable[[], object], within_s: float, what: str) -> float:
    """Poll a condition without stopping the loop; return how long it took, raise Failed with `what`."""
    began = asyncio.get_running_loop().time()
    while not condition():
        if asyncio.get_running_loop().time() - began > within_s:
            raise Failed(f"not within {within_s:g} s: {what}")
        await asyncio.sleep(LOOK_S)
    return asyncio.get_running_loop().time() - began


def errors_of(run: Run) -> dict[str, int]:
    """Return the errors by kind, empty if there were none."""
    return dict(run.tally.errors)
