"""The bytes of a detector's state, from which another process goes on exactly where one ended. Pure."""

import struct

import numpy as np

from driftgate.monitoring.drift.bets import BETS_PER_CELL
from driftgate.monitoring.drift.e_detector import DetectorState
from driftgate.monitoring.log.frames import NewerFormat

FORMAT = 1
_HEAD = struct.Struct("<IIQ")
_TYPES = ("<f8", "<f8", "<i8")


def encode_state(state: DetectorState) -> bytes:
    """Return the bytes of a state: format, cells, windows, then its arrays, little-endian."""
    parts = zip((state.capital, state.log_cusum, state.onset_us), _TYPES, strict=True)
    head = _HEAD.pack(FORMAT, len(state.capital), state.windows)
    return head + b"".join(part.astype(dtype).tobytes() for part, dtype in parts)


def decode_state(data: bytes) -> DetectorState:
    """Return the state in `data`. Raises NewerFormat, and ValueError if the bytes are no state."""
    if len(data) < _HEAD.size:
        raise ValueError("the state of a detector is cut short")
    version, cells, windows = _HEAD.unpack_from(data)
    if version > FORMAT:
        raise NewerFormat(f"a detector's state has format {version}; this Driftgate reads up to {FORMAT}")
    width = cells * BETS_PER_CELL * 8
    if version < 1 or len(data) != _HEAD.size + width * len(_TYPES):
        raise ValueError("the state of a detector has another length than its head says")
    arrays = [
        np.frombuffer(data, dtype, cells * BETS_PER_CELL, _HEAD.size + place * width)
        .reshape(cells, BETS_PER_CELL)
        .astype(dtype[1:])
        for place, dtype in enumerate(_TYPES)
    ]
    if not (np.isfinite(arrays[0]).all() and np.isfinite(arrays[1]).all() and (arrays[0] >= 0).all()):
        raise ValueError("the state of a detector holds what no evidence can be")
    return DetectorState(windows, *arrays)
