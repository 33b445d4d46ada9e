"""Keys of entities: the values of a view's join keys, and the one way to write them as bytes.

The bytes are canonical (one key, one spelling), can be read back, and fit the embedded store. One string key
is its UTF-8; an int64 is 8 bytes, big-endian with its sign flipped, so that keys sort as numbers; of several
join keys every string is preceded by its length as 2 bytes.
"""

import struct
from collections.abc import Callable, Sequence
from functools import partial

from driftgate.features.errors import InvalidKey
from driftgate.features.views.view import UNPRINTABLE, FeatureView

EntityKey = tuple[str | int, ...]
"""Values of the join keys, in the order in which the view declares them."""

MAX_KEY_BYTES = 500
"""All of a key; the embedded store can hold 511."""

_SIGN = 2**63
_INT64 = struct.Struct(">Q")
_LENGTH = struct.Struct(">H")
_SHOWN = 40


class KeyCodec:
    """Writes and reads the keys of one view.

    `encode_one` returns the canonical bytes of a key of one value, for views that have one join key; it
    raises as `encode` does.
    """

    def __init__(self, view: FeatureView) -> None:
        self._join_keys = tuple((key.name, key.dtype) for key in view.join_keys)
        self._only = self._join_keys[0] if len(self._join_keys) == 1 else None
        name, dtype = self._join_keys[0]
        self.encode_one: Callable[[object], bytes] = partial(_text if dtype == "string" else _int64, name)

    def encode(self, values: Sequence[object]) -> bytes:
        """Return the canonical bytes of a key; raise InvalidKey that names the join key.

        `values` are str or int (never bool) in the order of the view's join keys.
        """
        if len(values) != len(self._join_keys):
            wanted = ", ".join(name for name, _ in self._join_keys)
            raise InvalidKey(f"a key has {len(self._join_keys)} values ({wanted}); {len(values)} were given")
        return self.encode_one(values[0]) if self._only else self._several(values)

    def decode(self, data: bytes) -> EntityKey:
        """Return the values whose bytes these are; raise InvalidKey if they are no key of this view."""
        try:
            if self._only:
                return (data.decode() if self._only[1] == "string" else _read_int64(data),)
            return self._read_several(data)
        except (UnicodeDecodeError, struct.error) as error:
            raise InvalidKey("the bytes are no key of this view") from error

    def _several(self, values: Sequence[object]) -> bytes:
        parts: list[bytes] = []
        for (name, dtype), value in zip(self._join_keys, values, strict=True):
            if dtype == "string":
                text = _text(name, value)
                parts += (_LENGTH.pack(len(text)), text)
            else:
                parts.append(_int64(name, value))
        joined = b"".join(parts)
        if len(joined) > MAX_KEY_BYTES:
            raise InvalidKey(f"the join keys have {len(joined)} bytes together; {MAX_KEY_BYTES} are allowed")
        return joined

    def _read_several(self, data: bytes) -> EntityKey:
        values: list[str | int] = []
        at = 0
        for _, dtype in self._join_keys:
            if dtype == "string":
                (length,) = _LENGTH.unpack_from(data, at)
                at += _LENGTH.size
                values.append(data[at : at + length].decode())
                at += length
            else:
                values.append(_read_int64(data[at : at + _INT64.size]))
                at += _INT64.size
        if at != len(data):
            raise InvalidKey("the bytes are no key of this view")
        return tuple(values)


def encode_key(view: FeatureView, values: Sequence[object]) -> bytes:
    """Return the canonical bytes of one key, see `KeyCodec.encode`, which is faster for many."""
    return KeyCodec(view).encode(values)


def decode_key(view: FeatureView, data: bytes) -> EntityKey:
    """Return the values whose canonical bytes these are; raises InvalidKey."""
    return KeyCodec(view).decode(data)


def _text(name: str, value: object) -> bytes:
    if type(value) is not str:
        raise InvalidKey(f"join key {name!r}: a string is needed, not {_shown(value)}")
    if not value or len(value) > MAX_KEY_BYTES:
        raise InvalidKey(f"join key {name!r}: 1 to {MAX_KEY_BYTES} bytes are allowed, not {len(value)}")
    if not value.isprintable() and UNPRINTABLE.search(value):
        raise InvalidKey(f"join key {name!r}: control characters are not allowed")
    encoded = value.encode()
    if len(encoded) > MAX_KEY_BYTES:
        raise InvalidKey(f"join key {name!r}: 1 to {MAX_KEY_BYTES} bytes are allowed, not {len(encoded)}")
    return encoded


def _int64(name: str, value: object) -> bytes:
    if type(value) is not int:
        raise InvalidKey(f"join key {name!r}: a whole number is needed, not {_shown(value)}")
    if not -_SIGN <= value < _SIGN:
        raise InvalidKey(f"join key {name!r}: the number is outside int64")
    return _INT64.pack(value + _SIGN)


def _read_int64(data: bytes) -> int:
    (number,) = _INT64.unpack(data)
    return int(number) - _SIGN


def _shown(value: object) -> str:
    if isinstance(value, str | bool | float):
        return ascii(value)[:_SHOWN]
    return f"{type(value).__name__}"
