"""The bytes of a version's drift, from which another monitor goes on to the last bit. Pure."""

import msgspec

from driftgate.monitoring.drift.alarm import DriftAlarm
from driftgate.monitoring.drift.plan import Judging
from driftgate.monitoring.drift.version_drift import StreamKey, VersionDrift
from driftgate.monitoring.log.frames import NewerFormat

FORMAT = 1


class _Stream(msgspec.Struct, frozen=True, array_like=True):
    arm: str
    segment: str
    start_us: int
    rows: int
    features: bytes
    pairs: bytes


class _State(msgspec.Struct, frozen=True, array_like=True):
    format: int
    judging: str
    first_us: int
    last_us: int
    forgotten_us: int
    alarm: DriftAlarm
    pair_alarm: DriftAlarm
    streams: tuple[_Stream, ...]


def encode_drift(drift: VersionDrift) -> bytes:
    """Return the bytes of a version's drift."""
    return msgspec.msgpack.encode(
        _State(
            format=FORMAT,
            judging=_name(drift.plan.judging),
            first_us=drift.first_us,
            last_us=drift.last_us,
            forgotten_us=drift.forgotten_us,
            alarm=drift.alarm,
            pair_alarm=drift.pair_alarm,
            streams=tuple(
                _Stream(*key, one.start_us, one.rows, *one.watch.states())
                for key, one in drift.streams.items()
            ),
        )
    )


def restore_drift(drift: VersionDrift, data: bytes) -> bool:
    """Let a new VersionDrift go on from kept bytes; return whether they are of the same judging.

    Raises ValueError or NewerFormat, and leaves it in between, if they are no state of its reference.
    """
    try:
        state = msgspec.msgpack.decode(data, type=_State)
    except msgspec.MsgspecError as error:
        raise ValueError(f"the state of drift cannot be read: {error}") from error
    if state.format > FORMAT:
        raise NewerFormat(f"the state of drift has format {state.format}; this Driftgate reads {FORMAT}")
    drift.first_us, drift.last_us = state.first_us, state.last_us
    if state.judging != _name(drift.plan.judging):
        return False
    for one in state.streams:
        key = StreamKey(one.arm, one.segment)
        if not drift.judges(key):
            continue
        stream = drift.stream(key)
        stream.watch.restore(one.features, one.pairs)
        stream.start_us, stream.rows = one.start_us, one.rows
        stream.weigh()
    drift.forgotten_us = state.forgotten_us
    drift.alarm, drift.pair_alarm = state.alarm, state.pair_alarm
    return True


def _name(judging: Judging) -> str:
    return repr(judging)
