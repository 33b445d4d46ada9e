"""A receiver of notifications that is a program on this machine."""

import asyncio
import contextlib
import os
import signal
from dataclasses import dataclass

from driftgate.monitoring.alerts.delivery import DELIVERY_S, NotDelivered


@dataclass(frozen=True)
class Command:
    """A program that is started with fixed arguments, without a shell, and reads the document."""

    argv: tuple[str, ...]
    within_s: float = DELIVERY_S

    async def deliver(self, body: bytes, delivery: str, now_s: int) -> None:
        """Run the program to its end; raise NotDelivered if it fails, takes too long or cannot be started."""
        nothing = asyncio.subprocess.DEVNULL
        try:
            process = await asyncio.create_subprocess_exec(
                *self.argv,
                stdin=asyncio.subprocess.PIPE,
                stdout=nothing,
                stderr=nothing,
                env={"PATH": os.defpath, "DRIFTGATE_DELIVERY": delivery},
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            raise NotDelivered(f"the command cannot be started: {type(error).__name__}") from error
        try:
            async with asyncio.timeout(self.within_s):
                await process.communicate(body)
        except TimeoutError as error:
            raise NotDelivered(f"the command did not end within {self.within_s:g} s") from error
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        if process.returncode:
            raise NotDelivered(f"the command ended with {process.returncode}")
