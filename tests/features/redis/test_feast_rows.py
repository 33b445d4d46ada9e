"""Reading what Feast wrote: single features that are not there, null, of another type or broken."""

import numpy as np
import pytest

from driftgate.features.lookup.store import Lookup
from driftgate.features.redis.feast_rows import FeastRedisRows
from driftgate.features.redis.replies import ErrorReply, Reply
from driftgate.features.redis.rows import DAMAGED, NOTHING, FoundRow
from driftgate.features.rows.codec import decode_rows
from driftgate.features.rows.layout import RowLayout
from driftgate.features.views.keys import KeyCodec
from driftgate.features.views.status import Fault
from driftgate.features.views.view import Feature, FeatureView, JoinKey

from harness.feast_messages import event_time_of, value_of

VIEW = FeatureView(
    "driver",
    (JoinKey("id", "int64"),),
    (
        Feature("rate", "float32"),
        Feature("trips", "int32"),
        Feature("name", "string"),
        Feature("last", "int64", 2),
    ),
)
LAYOUT = RowLayout.of(VIEW)
EVENT_US = 1_700_000_000_123_456
EVENT = event_time_of(EVENT_US)
RATE, TRIPS, NAME, LAST = value_of(6, 0.5), value_of(3, -7), value_of(2, "Zoë"), value_of(14, [1, 2])
SOUND = [RATE, TRIPS, NAME, LAST, EVENT]
STRING, INT32, INT64, DOUBLE, FLOAT, BOOL, BYTES = 2, 3, 4, 5, 6, 7, 1


def found_of(reply: Reply) -> FoundRow:
    """Return what one reply is read as."""
    lookup = Lookup(LAYOUT, [KeyCodec(VIEW).encode((1,))])
    (found,) = FeastRedisRows("demo").found([lookup], [reply])
    return found


def test_one_command_for_each_entity() -> None:
    """The command reads all features and the event time from the entity's hash."""
    (command,) = FeastRedisRows("demo").commands([Lookup(LAYOUT, [KeyCodec(VIEW).encode((1001,))])])
    assert command[0] == b"HMGET"
    assert command[1].endswith((1001).to_bytes(8, "little") + b"demo")
    assert len(command) == 2 + len(VIEW.features) + 1
    assert command[-1] == b"_ts:driver"


def test_a_sound_row_is_read() -> None:
    """Values, vectors and the event time come out as Feast wrote them."""
    found = found_of(SOUND)
    stored = decode_rows(LAYOUT, [found.packed])
    assert (found.missing, found.fault) == ((), None)
    assert stored.event_time_us.tolist() == [EVENT_US]
    assert [stored.columns[feature.name].tolist() for feature in VIEW.features] == [
        [0.5],
        [-7],
        ["Zoë"],
        [[1, 2]],
    ]


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ([None] * 5, NOTHING),
        ([*SOUND[:4], None], NOTHING),
        ([*SOUND[:4], b"\xff"], DAMAGED),
        ([*SOUND[:4], b""], DAMAGED),
        (SOUND[:4], DAMAGED),
        (ErrorReply("WRONGTYPE"), DAMAGED),
        (b"OK", DAMAGED),
        (None, DAMAGED),
    ],
)
def test_what_is_no_row_is_none(reply: Reply, expected: FoundRow) -> None:
    """Without an event time nothing was ever written; one that is broken spoils the row."""
    assert found_of(reply) == expected


@pytest.mark.parametrize(
    ("place", "data", "missing", "fault"),
    [
        (0, None, True, None),
        (0, b"", False, None),
        (0, value_of(DOUBLE, 1e300), False, None),
        (0, value_of(INT64, 3), False, None),
        (0, value_of(BOOL, True), True, Fault.CORRUPT),
        (0, value_of(STRING, "0.5"), True, Fault.CORRUPT),
        (0, value_of(FLOAT + 10, [0.5]), True, Fault.CORRUPT),
        (0, b"\x35\x00", True, Fault.CORRUPT),
        (1, value_of(INT64, 2**31), True, Fault.CORRUPT),
        (1, value_of(INT64, 2**31 - 1), False, None),
        (1, value_of(FLOAT, 1.0), True, Fault.CORRUPT),
        (2, value_of(BYTES, b"x"), True, Fault.CORRUPT),
        (3, value_of(INT64 + 10, [1]), True, Fault.CORRUPT),
        (3, value_of(INT64, 1), True, Fault.CORRUPT),
        (3, value_of(INT32 + 10, [1, 2]), False, None),
        (3, value_of(DOUBLE + 10, [1.0, 2.0]), True, Fault.CORRUPT),
    ],
)
def test_a_cell_that_cannot_be_used_is_missing(
    place: int, data: bytes | None, missing: bool, fault: Fault | None
) -> None:
    """A feature that is absent or does not fit is missing; the row's others are read as ever."""
    found = found_of([*SOUND[:place], data, *SOUND[place + 1 :]])
    stored = decode_rows(LAYOUT, [found.packed])
    assert found.missing == ((place,) if missing else ())
    assert found.fault is fault
    assert stored.event_time_us.tolist() == [EVENT_US]
    expected = np.zeros((1, len(VIEW.features)), bool)
    expected[0, place] = data == b""
    assert np.array_equal(expected if stored.nulls is None else stored.nulls, expected)


def test_rows_of_several_views_stay_apart() -> None:
    """Entities of different views in one pipeline are each read by their own view."""
    other = RowLayout.of(FeatureView("shop", (JoinKey("id", "int64"),), (Feature("open", "bool"),)))
    key = KeyCodec(VIEW).encode((1,))
    lookups = [Lookup(LAYOUT, [key]), Lookup(other, [key]), Lookup(LAYOUT, [key, key])]
    replies: list[Reply] = [SOUND, [value_of(BOOL, True), EVENT], [None] * 5, SOUND]
    found = FeastRedisRows("demo").found(lookups, replies)
    assert [len(row.packed or b"") for row in found[1:3]] == [other.row_bytes, 0]
    assert decode_rows(other, [found[1].packed]).columns["open"].tolist() == [True]
    for row in (found[0], found[3]):
        assert decode_rows(LAYOUT, [row.packed]).columns["trips"].tolist() == [-7]
