"""What people ask of alerts, from control to the monitor: one small file that control alone writes, whole.

Requests are numbered. The monitor remembers in its book how far it is, so that each is carried out once,
and says so in its status; what it has carried out leaves the file.
"""

import threading
from collections.abc import Callable
from pathlib import Path

import msgspec

from driftgate.gateway.errors import StateUnusable
from driftgate.gateway.formats import other_format
from driftgate.models.storage.durable import write_whole
from driftgate.monitoring.alerts.book import Silence

FORMAT = 1
MOST_WAITING = 256


class Acknowledge(msgspec.Struct, frozen=True, tag="acknowledge"):
    """Somebody looks at an alert."""

    alert: str
    who: str
    why: str


class BeSilent(msgspec.Struct, frozen=True, tag="silence"):
    """Tell nobody of a model's alerts for a while."""

    silence: Silence


class EndSilence(msgspec.Struct, frozen=True, tag="unsilence"):
    """Tell of them again."""

    silence: str


class TryReceivers(msgspec.Struct, frozen=True, tag="test"):
    """Tell every receiver of a model's alerts that this is a test."""

    model: str
    who: str


AlertRequest = Acknowledge | BeSilent | EndSilence | TryReceivers


class NumberedRequest(msgspec.Struct, frozen=True):
    """A request and its number, from 1 on."""

    number: int
    request: AlertRequest


class RequestFile(msgspec.Struct, frozen=True):
    """All requests that may not have been carried out yet."""

    format: int = FORMAT
    last: int = 0
    requests: tuple[NumberedRequest, ...] = ()


class AlertRequests:
    """The writing side, for control alone. `done` says how far the monitor is."""

    def __init__(self, path: Path, done: Callable[[], int]) -> None:
        self._path = path
        self._done = done
        self._lock = threading.Lock()

    def add(self, request: AlertRequest) -> int:
        """Hand a request over, durably, and return its number.

        Raises StateUnusable if too many wait already, or the file cannot be written.
        """
        with self._lock:
            file, done = read_requests(self._path), self._done()
            waiting = tuple(one for one in file.requests if one.number > done)
            if len(waiting) >= MOST_WAITING:
                raise StateUnusable(f"{len(waiting)} requests wait for the monitor, which does not take them")
            number = max(file.last, done) + 1
            later = RequestFile(last=number, requests=(*waiting, NumberedRequest(number, request)))
            try:
                write_whole(self._path, msgspec.json.encode(later), durable=True)
            except OSError as error:
                raise StateUnusable(f"the request cannot be written down: {error.strerror}") from error
            return number


def read_requests(path: Path) -> RequestFile:
    """Return the file; an empty one where there is none, or none that can be read."""
    try:
        data = path.read_bytes()
        return RequestFile() if other_format(data, FORMAT) else msgspec.json.decode(data, type=RequestFile)
    except (OSError, msgspec.MsgspecError):
        return RequestFile()
