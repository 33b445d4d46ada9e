"""A feature view: the features that are stored together under one key, and how fresh they must be.

A view is a value. What its rows look like is named by `schema_id`; everything else about it may change while
its rows stay.
"""

import hashlib
import math
import re
from typing import Annotated, Literal

import msgspec

from driftgate.features.errors import InvalidView

ROW_FORMAT = 1
"""First byte of every packed row and of every schema id."""

EVENT_TIME = "event_time"
"""What the time of a row is called in files, pushes and training sets; nothing else may be."""

VIEW_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
"""What neither names nor keys may hold: control characters, line ends, halves of pairs."""
_MOST_NAME_CHARACTERS = 128
MAX_JOIN_KEYS = 8
MAX_FEATURES = 4096
MAX_ELEMENTS = 65_536
"""Elements of all features of an entity together."""
MAX_TEXT_BYTES = 16 * 1024
"""Of one value of a string feature; what is longer is no feature of an entity."""

Dtype = Literal["float32", "float64", "int32", "int64", "bool", "string"]
KeyDtype = Literal["string", "int64"]
OnMissing = Literal["default", "null", "error"]
OnStale = Literal["default", "null", "last", "error"]
Scalar = bool | int | float | str
Default = Scalar | tuple[Scalar, ...]

_LARGEST_FLOAT32 = (2 - 2**-23) * 2.0**127
_KINDS: dict[str, tuple[type, ...]] = {
    "float32": (float, int),
    "float64": (float, int),
    "int32": (int,),
    "int64": (int,),
    "bool": (bool,),
    "string": (str,),
}


class JoinKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One part of the key that finds an entity."""

    name: str
    dtype: KeyDtype = "string"


class Feature(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One stored feature: a value, or a vector of `length` values.

    `on_missing` says what the model gets where there is no value (never written, written as null, damaged,
    store not reached), `on_stale` where the value is older than the view's TTL: the `default`, nothing
    ("null"), the value as it is ("last"), or no prediction at all ("error").
    """

    name: str
    dtype: Dtype
    length: Annotated[int, msgspec.Meta(ge=1)] = 1
    unit: str = ""
    default: Default | None = None
    on_missing: OnMissing = "null"
    on_stale: OnStale = "last"
    description: str = ""
    owner: str = ""


class FeatureView(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Features that are stored and read together. `ttl_s` counts from event time; None: never stale.

    Making one does not check it; `check_view` does, and whatever reads a declaration calls it.
    """

    name: str
    join_keys: tuple[JoinKey, ...]
    features: tuple[Feature, ...]
    ttl_s: Annotated[float, msgspec.Meta(gt=0)] | None = None
    description: str = ""
    owner: str = ""

    @property
    def schema_id(self) -> int:
        """Names what a packed row of this view looks like: 64 bits, the lowest byte is ROW_FORMAT.

        A hash of names and types of the view, its join keys and its features, in order. Rows of another
        schema are never read as rows of this one.
        """
        named = [
            self.name,
            [(key.name, key.dtype) for key in self.join_keys],
            [(feature.name, feature.dtype, feature.length) for feature in self.features],
        ]
        digest = hashlib.blake2b(msgspec.json.encode(named), digest_size=7).digest()
        return int.from_bytes(bytes([ROW_FORMAT]) + digest, "little")

    @property
    def digest(self) -> str:
        """Names the declaration as a whole, documentation and policies included: 16 hexadecimal digits."""
        return hashlib.blake2b(msgspec.json.encode(self), digest_size=8).hexdigest()

    def feature(self, name: str) -> Feature:
        """Return the feature of that name; raises KeyError."""
        for feature in self.features:
            if feature.name == name:
                return feature
        raise KeyError(name)


def check_view(view: FeatureView) -> FeatureView:
    """Return the view if it is sound, else raise InvalidView whose text begins with the place."""
    if not VIEW_NAME.fullmatch(view.name):
        raise InvalidView(
            f"name: {view.name[:140]!r} cannot name a view: use 1 to 128 letters, digits, '.', '_' or '-', "
            "beginning with a letter or digit"
        )
    if not 1 <= len(view.join_keys) <= MAX_JOIN_KEYS:
        raise InvalidView(f"join_keys: a view has 1 to {MAX_JOIN_KEYS}, this one {len(view.join_keys)}")
    if not 1 <= len(view.features) <= MAX_FEATURES:
        raise InvalidView(f"features: a view has 1 to {MAX_FEATURES}, this one {len(view.features)}")
    names: set[str] = set()
    for index, key in enumerate(view.join_keys):
        _check_name(key.name, f"join_keys[{index}].name", names)
    for index, feature in enumerate(view.features):
        _check_name(feature.name, f"features[{index}].name", names)
        _check_feature(feature, f"features[{index}]")
    if sum(feature.length for feature in view.features) > MAX_ELEMENTS:
        raise InvalidView(f"features: together they have more than {MAX_ELEMENTS} elements")
    return view


def _check_name(name: str, place: str, taken: set[str]) -> None:
    if not name or len(name) > _MOST_NAME_CHARACTERS or UNPRINTABLE.search(name):
        raise InvalidView(f"{place}: a name has 1 to {_MOST_NAME_CHARACTERS} printable characters")
    if name == EVENT_TIME:
        raise InvalidView(f"{place}: {EVENT_TIME!r} is the time of a row; choose another name")
    if name in taken:
        raise InvalidView(f"{place}: {name!r} is there twice")
    taken.add(name)


def _check_feature(feature: Feature, place: str) -> None:
    uses_default = "default" in (feature.on_missing, feature.on_stale)
    if feature.default is None:
        if uses_default:
            raise InvalidView(f"{place}.default: on_missing or on_stale needs it and it is not given")
        return
    if not uses_default:
        raise InvalidView(
            f'{place}.default: nothing uses it; set on_missing = "default" (or on_stale), or leave it out'
        )
    values = feature.default if isinstance(feature.default, tuple) else (feature.default,)
    if isinstance(feature.default, tuple) != (feature.length > 1) or len(values) != feature.length:
        wanted = "one value" if feature.length == 1 else f"a list of {feature.length} values"
        raise InvalidView(f"{place}.default: {wanted} is needed")
    for value in values:
        if not _fits(value, feature.dtype):
            raise InvalidView(f"{place}.default: {value!r} is no {feature.dtype}")


def _fits(value: Scalar, dtype: Dtype) -> bool:
    if type(value) not in _KINDS[dtype]:
        return False
    if dtype in ("int32", "int64"):
        limit = 2 ** (31 if dtype == "int32" else 63)
        return isinstance(value, int) and -limit <= value < limit
    if dtype == "float32":
        return math.isfinite(value) and abs(value) <= _LARGEST_FLOAT32  # type: ignore[arg-type] # as above
    return dtype != "float64" or math.isfinite(value)  # type: ignore[arg-type] # as above
