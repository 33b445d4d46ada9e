"""Reading a protobuf message field by field, without its schema compiled. Pure.

Wire format: https://protobuf.dev/programming-guides/encoding/
"""

from collections.abc import Iterator, Sequence

Field = tuple[int, int | bytes]

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MAX_VARINT_BYTES = 10


class BrokenMessage(ValueError):
    """The bytes are no protobuf message, or end in the middle of one."""


class Message:
    """The fields of one message. A field that is absent is empty, 0 or no message at all."""

    def __init__(self, data: bytes) -> None:
        """Raise BrokenMessage if `data` is no message."""
        self._fields: dict[int, list[int | bytes]] = {}
        for number, value in fields(data):
            self._fields.setdefault(number, []).append(value)

    def text(self, number: int) -> str:
        """Return a string; raise BrokenMessage if it is not UTF-8."""
        return text_of(self._last(number, b""))

    def texts(self, number: int) -> list[str]:
        """Return a repeated string."""
        return [text_of(value) for value in self._all(number)]

    def number(self, number: int) -> int:
        """Return a number, or 0."""
        value = self._last(number, 0)
        if not isinstance(value, int):
            raise BrokenMessage(f"field {number} is no number")
        return value

    def message(self, number: int) -> "Message":
        """Return a message, or an empty one."""
        return Message(bytes_of(self._last(number, b"")))

    def messages(self, number: int) -> list["Message"]:
        """Return a repeated message."""
        return [Message(bytes_of(value)) for value in self._all(number)]

    def _all(self, number: int) -> Sequence[int | bytes]:
        return self._fields.get(number, ())

    def _last(self, number: int, absent: int | bytes) -> int | bytes:
        found = self._all(number)
        return found[-1] if found else absent


def fields(data: bytes) -> Iterator[Field]:
    """Yield number and content of each field: varints as integers, all else as bytes; raise BrokenMessage."""
    at = 0
    while at < len(data):
        tag, at = varint(data, at)
        number, kind = tag >> 3, tag & 7
        if kind == _VARINT:
            value, at = varint(data, at)
            yield number, value
            continue
        if kind == _BYTES:
            length, at = varint(data, at)
        elif kind in (_FIXED32, _FIXED64):
            length = 4 if kind == _FIXED32 else 8
        else:
            raise BrokenMessage(f"byte {at - 1} begins no field")
        if number == 0 or length > len(data) - at:
            raise BrokenMessage(f"the field at byte {at} ends behind the message")
        yield number, data[at : at + length]
        at += length


def varint(data: bytes, at: int) -> tuple[int, int]:
    """Return the number at a place, as it is written without sign, and the place behind it."""
    value = 0
    for index in range(_MAX_VARINT_BYTES):
        if at >= len(data):
            break
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value, at
    raise BrokenMessage(f"the number before byte {at} does not end")


def bytes_of(value: int | bytes) -> bytes:
    """Return the content of a field that holds bytes; raise BrokenMessage if it is a number."""
    if isinstance(value, int):
        raise BrokenMessage("a number stands where a message or text should")
    return value


def text_of(value: int | bytes) -> str:
    """Return the content of a field that holds a text; raise BrokenMessage if it does not."""
    try:
        return bytes_of(value).decode()
    except UnicodeDecodeError as error:
        raise BrokenMessage("a text is not UTF-8") from error
