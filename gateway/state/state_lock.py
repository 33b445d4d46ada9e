"""The claim on a state directory: one gateway each, and a second one is told so."""

import fcntl
import os

from driftgate.gateway.layout import StateLayout
from driftgate.gateway.listeners import CannotStart
from driftgate.gateway.state.slots import PRIVATE, lock_holder, take_lock


def claim_state(layout: StateLayout) -> int:
    """Make the state directory and lock it; return the lock's descriptor.

    Raises CannotStart if it belongs to another gateway or cannot be written.
    """
    try:
        for directory in (layout.root, layout.desired, layout.cache, layout.slots):
            directory.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
        lock = take_lock(layout.lock)
    except OSError as error:
        raise CannotStart(
            f"the state directory {layout.root} cannot be written ({error.strerror}): "
            "choose another with --state"
        ) from error
    if lock is None:
        raise CannotStart(
            f"process {lock_holder(layout.lock) or 'unknown'} runs a gateway on the state directory "
            f"{layout.root}: stop it, or choose another directory with --state"
        )
    return lock


def is_claimed(layout: StateLayout) -> bool:
    """Tell whether a gateway owns the state directory now."""
    try:
        descriptor = os.open(layout.lock, os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def name_owner(lock: int) -> None:
    """Write our pid into the lock, which may be one that another process took."""
    os.ftruncate(lock, 0)
    os.pwrite(lock, str(os.getpid()).encode(), 0)
