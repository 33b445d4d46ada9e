"""The log: one line per event on standard error, which no value can break or forge.

Values are escaped, whatever they hold: control characters, terminal escapes and every character that some
reader takes for the end of a line. No secret and no payload belongs in a value.
"""

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import BinaryIO, Literal

import msgspec

from driftgate.gateway.log_lines import DirectLines, LineSink, QueuedLines

LogFormat = Literal["json", "text"]
Level = Literal["debug", "info", "warning", "error"]
STANDARD_ERROR = 2

Value = str | int | float | bool | None | list[str]

# JSON leaves these: DEL and C1 controls steer terminals, U+2028 and U+2029 end lines, others reorder text
_UNSAFE = {0x7F, *range(0x80, 0xA0), *range(0x200E, 0x2010), *range(0x2028, 0x202F), *range(0x2066, 0x206A)}
_ESCAPES = {code: f"\\u{code:04x}" for code in _UNSAFE}


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Logger:
    """Writes events of one process; made once at its start and handed to whoever has something to say.

    Nobody waits for standard error: when it is not read for long, lines are dropped, and the next one that
    is not says how many (`lines_dropped`). A `stream` of the caller's own is written to at once.
    """

    def __init__(
        self,
        process: str,
        log_format: LogFormat = "json",
        stream: BinaryIO | None = None,
        clock: Callable[[], datetime] = _utc_now,
    ) -> None:
        self._process = process
        self._render = _json_line if log_format == "json" else _text_line
        self._lines: LineSink = _standard_error() if stream is None else DirectLines(stream)
        self._clock = clock
        self._dropped = 0
        self._lock = threading.Lock()

    def info(self, event: str, **values: Value) -> None:
        """Log something that is as it should be."""
        self._write("info", event, values)

    def warning(self, event: str, **values: Value) -> None:
        """Log something that a person may want to look at."""
        self._write("warning", event, values)

    def error(self, event: str, **values: Value) -> None:
        """Log something that a person must look at."""
        self._write("error", event, values)

    def close(self) -> None:
        """Write out what is left, within half a second; for processes that end without Python's own exit."""
        self._lines.close()

    def _write(self, level: Level, event: str, values: dict[str, Value]) -> None:
        with self._lock:
            at = self._clock().isoformat(timespec="milliseconds").replace("+00:00", "Z")
            fixed: dict[str, Value] = {"at": at, "level": level, "event": event, "process": self._process}
            dropped: dict[str, Value] = {"lines_dropped": self._dropped} if self._dropped else {}
            line = self._render({**fixed, **values, **dropped, **fixed}).encode()
            self._dropped = 0 if self._lines.offer(line) else self._dropped + 1


def _standard_error() -> QueuedLines:
    return QueuedLines(open(STANDARD_ERROR, "wb", buffering=0, closefd=False))


def _json_line(fields: dict[str, Value]) -> str:
    return _quoted(fields) + "\n"


def _text_line(fields: dict[str, Value]) -> str:
    at, level, event, process = (fields.pop(key) for key in ("at", "level", "event", "process"))
    rest = "".join(f" {key}={_quoted(value)}" for key, value in fields.items())
    return f"{at} {str(level).upper():7} {process} {_quoted(event)[1:-1]}{rest}\n"


def _quoted(value: object) -> str:
    try:
        data = msgspec.json.encode(value)
    except UnicodeEncodeError:  # lone surrogates: bytes of a file name that are not UTF-8
        data = msgspec.json.encode(_encodable(value))
    return data.decode().translate(_ESCAPES)


def _encodable(value: object) -> object:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, list):
        return [_encodable(item) for item in value]
    if isinstance(value, dict):
        return {key: _encodable(item) for key, item in value.items()}
    return value
