"""Damage anywhere in a log costs what was damaged, is reported, and nothing else is lost."""

from hypothesis import given
from hypothesis import strategies as st

from driftgate.monitoring.log.frames import HEADER_BYTES, MAGIC, Kind, encode_frame, salt_of
from driftgate.monitoring.log.scan import Scanned, scan

BOOT = "0" * 32
SALT = salt_of(BOOT)
PAYLOADS = st.lists(st.binary(max_size=60) | st.just(MAGIC * 5), min_size=1, max_size=8)


def frames_of(payloads: list[bytes]) -> list[bytes]:
    return [encode_frame(Kind.BLOCK, number, data, SALT) for number, data in enumerate(payloads)]


def sequences(found: list[Scanned]) -> list[int]:
    return [item.header.sequence for item in found if item.header]


def everything(data: bytes, final: bool = True) -> list[Scanned]:
    found = list(scan(data, SALT, final))
    ends = [item.end for item in found]
    assert [item.start for item in found] == [0, *ends[:-1]][: len(found)]
    return found


@given(PAYLOADS)
def test_whole_frames_are_found_one_after_the_other(payloads: list[bytes]) -> None:
    """Frames come back in order with their payloads, whatever these hold."""
    found = everything(b"".join(frames_of(payloads)))
    assert [item.payload for item in found] == payloads


@given(PAYLOADS, st.data())
def test_a_torn_frame_costs_only_itself(payloads: list[bytes], data: st.DataObject) -> None:
    """A frame cut short anywhere costs one frame: itself, or the next if that begins as this one ended."""
    frames = frames_of(payloads)
    torn = data.draw(st.integers(0, len(frames) - 1))
    frames[torn] = frames[torn][: data.draw(st.integers(0, len(frames[torn]) - 1))]
    found = everything(b"".join(frames))
    lost = set(range(len(frames))) - set(sequences(found))
    assert len(lost) == 1
    assert lost <= {torn, torn + 1}


@given(PAYLOADS, st.data())
def test_a_flipped_byte_costs_only_its_frame(payloads: list[bytes], data: st.DataObject) -> None:
    """One changed byte, in header or payload, costs the frame that it is in."""
    frames = frames_of(payloads)
    hit = data.draw(st.integers(0, len(frames) - 1))
    damaged = bytearray(frames[hit])
    damaged[data.draw(st.integers(0, len(damaged) - 1))] ^= data.draw(st.integers(1, 255))
    frames[hit] = bytes(damaged)
    assert sequences(everything(b"".join(frames))) == [n for n in range(len(frames)) if n != hit]


@given(PAYLOADS, st.binary(min_size=1, max_size=100), st.data())
def test_foreign_bytes_between_frames_are_skipped(
    payloads: list[bytes], noise: bytes, data: st.DataObject
) -> None:
    """Bytes that are no frames are reported and skipped; every frame is found."""
    frames = frames_of(payloads)
    frames.insert(data.draw(st.integers(0, len(frames))), noise)
    found = everything(b"".join(frames))
    assert sequences(found) == list(range(len(payloads)))
    assert sum(item.end - item.start for item in found if not item.header) == len(noise)


@given(PAYLOADS, st.data())
def test_what_is_still_being_written_is_waited_for(payloads: list[bytes], data: st.DataObject) -> None:
    """At the end of a live segment a frame in the making is neither taken nor called damage."""
    whole = b"".join(frames_of(payloads))
    cut = data.draw(st.integers(0, len(whole)))
    first = everything(whole[:cut], final=False)
    assert all(item.header for item in first)
    done = first[-1].end if first else 0
    rest = list(scan(whole[done:], SALT, True))
    assert [item.payload for item in [*first, *rest]] == payloads


@given(PAYLOADS)
def test_frames_of_another_boot_are_none(payloads: list[bytes]) -> None:
    """What passes for a frame elsewhere, or was sent by a client who cannot know the boot, is damage here."""
    data = b"".join(frames_of(payloads))
    found = list(scan(data, salt_of("1" * 32), True))
    assert not sequences(found)
    assert sum(item.end - item.start for item in found) == len(data)


def test_no_text_holds_the_magic() -> None:
    """The magic is not UTF-8, so no recorded text can begin a frame."""
    assert MAGIC.decode("utf-8", "ignore").encode() != MAGIC
    assert HEADER_BYTES % 8 == 0
