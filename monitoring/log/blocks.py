"""Blocks: the turns of one flush and version, requests as records of one size and rows as columns. Pure.

A block is, without gaps: a prefix, its layout (msgpack, the same in all blocks of a version), a record for
each request, their prediction ids, their texts (msgpack), and a column for each tensor of the layout.
"""

import struct
from collections.abc import Sequence
from math import prod
from typing import NamedTuple

import msgspec
import numpy as np

from driftgate.monitoring.log.columns import Categories, TensorEntry, Values, are_texts, categories, join
from driftgate.monitoring.log.frames import FORMAT
from driftgate.monitoring.log.record import Array

ID_BYTES = 16
KEY_BYTES = 16
RECORD = np.dtype(
    [
        ("recorded_us", "<i8"), ("arrived_us", "<i8"), ("parse_ns", "<i8"), ("queue_ns", "<i8"),
        ("infer_ns", "<i8"), ("encode_ns", "<i8"), ("propensity", "<f8"), ("rows", "<u4"),
        ("first_row", "<u4"), ("code", "<u2"), ("bucket", "<i4"),
    ]
)  # fmt: skip
PACKED = struct.Struct("<6qd2IHi")
_RECORD_1 = np.dtype(RECORD.descr[:-1])
PREFIX = struct.Struct("<5IQ2q")
"""Bytes of the layout and of the texts, then what BlockHeader says after the version, in its order."""
_MOST_KNOWN = 4096


class DamagedBlock(Exception):
    """Bytes that are no block."""


class Layout(msgspec.Struct, frozen=True, array_like=True):
    """What blocks of one version have in common. `omitted` names tensors and columns that were left out.

    `snapshots` are the numbers of the feature snapshots that its rows were completed from, by view; `filled`
    names the columns that were filled from them.
    """

    model: str
    version: int
    tensors: tuple[TensorEntry, ...] = ()
    omitted: tuple[str, ...] = ()
    snapshots: tuple[tuple[str, int], ...] = ()
    filled: tuple[str, ...] = ()


class RequestTexts(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The texts of a block's requests: one that all share, or one for each.

    The keys are hashes of 16 bytes for each request, zeros where it has none, or empty if none has any.
    `sizes` are the bytes of those columns of the layout that hold texts.
    """

    client_id: str | list[str]
    arm: str | list[str]
    purpose: str | list[str]
    idempotency_key: str | list[str]
    traceparent: str | list[str]
    routing_key: bytes
    entity_key: bytes
    sizes: tuple[int, ...] = ()


class BlockHeader(msgspec.Struct, frozen=True, gc=False):
    """What a block says of itself. `rows` is 0 in a block without payload.

    `records` are rows in the log: a request without rows has one. Times are in Unix microseconds; everything
    in the block was recorded between them.
    """

    model: str
    version: int
    requests: int
    rows: int
    records: int
    generation: int
    first_us: int
    last_us: int


class Block(msgspec.Struct, frozen=True, gc=False):
    """A block as it was read. `bounds` are where its records, ids, texts and columns begin, and its end."""

    header: BlockHeader
    layout: Layout
    texts: RequestTexts
    payload: bytes
    bounds: tuple[int, ...]

    def part(self, place: int) -> bytes:
        """Return the records (0), the ids (1), the texts (2), or a column of the layout (3 and on)."""
        return self.payload[self.bounds[place] : self.bounds[place + 1]]


class _Known(NamedTuple):
    """A layout that has been seen, and the bytes per row of its columns; None for texts."""

    layout: Layout
    row_bytes: tuple[int | None, ...]


class BlockDecoder:
    """Decodes blocks; layouts, and texts that all requests share, are decoded once."""

    def __init__(self) -> None:
        self._layouts: dict[bytes, _Known] = {}
        self._texts: dict[bytes, RequestTexts] = {}
        self._decoder = msgspec.msgpack.Decoder(RequestTexts)

    def decode(self, payload: bytes, written_in: int = FORMAT) -> Block:
        """Return the block in a payload of the format `written_in`; raise DamagedBlock if it is none."""
        try:
            return self._decode(payload if written_in == FORMAT else _upgraded(payload))
        except (msgspec.MsgspecError, struct.error, ValueError, TypeError, OverflowError) as error:
            raise DamagedBlock(str(error)) from error

    def _decode(self, payload: bytes) -> Block:
        layout_bytes, texts_bytes, *counts = PREFIX.unpack_from(payload)
        records_at = PREFIX.size + layout_bytes
        layout, row_bytes = self._known(payload[PREFIX.size : records_at])
        header = BlockHeader(layout.model, layout.version, *counts)
        ids_at = records_at + header.requests * RECORD.itemsize
        texts_at = ids_at + header.requests * ID_BYTES
        columns_at = texts_at + texts_bytes
        texts = self._known_texts(payload[texts_at:columns_at], header.requests)
        ends = _ends(columns_at, row_bytes, header.rows, texts.sizes)
        block = Block(header, layout, texts, payload, (records_at, ids_at, texts_at, columns_at, *ends))
        _check_columns(block)
        return block

    def _known_texts(self, data: bytes, requests: int) -> RequestTexts:
        texts = self._texts.get(data)
        if texts is None:
            texts = self._decoder.decode(data)
            if not _check_texts(texts, requests):
                return texts
            if len(self._texts) >= _MOST_KNOWN:
                self._texts.clear()
            self._texts[data] = texts
        return texts

    def _known(self, data: bytes) -> _Known:
        known = self._layouts.get(data)
        if known is None:
            layout = msgspec.msgpack.decode(data, type=Layout)
            known = _Known(layout, tuple(map(_row_bytes, layout.tensors)))
            if len(self._layouts) >= _MOST_KNOWN:
                self._layouts.clear()
            self._layouts[data] = known
        return known


def _upgraded(payload: bytes) -> bytes:
    """Return a block of format 1, whose records have no bucket, as it is written now."""
    layout_bytes, _, requests, *_ = PREFIX.unpack_from(payload)
    start = PREFIX.size + layout_bytes
    stop = start + requests * _RECORD_1.itemsize
    old = np.frombuffer(payload[start:stop], _RECORD_1)
    records = np.empty(len(old), RECORD)
    records[list(_RECORD_1.names or ())] = old
    records["bucket"] = -1
    return payload[:start] + records.tobytes() + payload[stop:]


def numbers_of(blocks: Sequence[Block]) -> Array:
    """Return the records of the requests of blocks, as one structured array."""
    return np.frombuffer(b"".join([block.part(0) for block in blocks]), RECORD)


def ids_of(blocks: Sequence[Block]) -> Array:
    """Return the prediction ids of the requests of blocks, 16 bytes each."""
    return np.frombuffer(b"".join([block.part(1) for block in blocks]), np.uint8).reshape(-1, ID_BYTES)


def texts_of(blocks: Sequence[Block], name: str) -> Categories:
    """Return one of the texts of the requests of blocks."""
    return categories([(getattr(block.texts, name), block.header.requests) for block in blocks])


def keys_of(blocks: Sequence[Block], name: str) -> Array:
    """Return the hashes of the keys of the requests of blocks, 16 bytes each, zeros where there is no key."""
    hashes = [getattr(block.texts, name) or bytes(KEY_BYTES * block.header.requests) for block in blocks]
    return np.frombuffer(b"".join(hashes), np.uint8).reshape(-1, KEY_BYTES)


def tensor_of(blocks: Sequence[Block], place: int) -> Values:
    """Return the rows of blocks that share a layout, of the tensor that has this place in it."""
    parts = [(block.part(3 + place), block.header.rows) for block in blocks]
    return join(blocks[0].layout.tensors[place], parts)


def _row_bytes(entry: TensorEntry) -> int | None:
    if min(entry.shape, default=0) < 0:
        raise DamagedBlock("a shape is negative")
    if entry.encoding == "text":
        return None
    dtype = np.dtype(entry.dtype)
    if dtype.hasobject:
        raise DamagedBlock("a column is of objects")
    return dtype.itemsize * prod(entry.shape)


def _ends(at: int, row_bytes: tuple[int | None, ...], rows: int, text_sizes: tuple[int, ...]) -> list[int]:
    """Return where the columns end that begin at `at`."""
    sizes = iter(text_sizes)
    ends = []
    for width in row_bytes:
        size = next(sizes, -1) if width is None else width * rows
        if size < 0:
            raise DamagedBlock("a column has no size")
        at += size
        ends.append(at)
    return ends


def _check_columns(block: Block) -> None:
    if block.bounds[-1] != len(block.payload):
        raise DamagedBlock("it does not have the size that it says")
    if not block.texts.sizes:
        return
    for place, entry in enumerate(block.layout.tensors):
        texts = block.header.rows * prod(entry.shape)
        if entry.encoding == "text" and not are_texts(block.part(3 + place), texts):
            raise DamagedBlock("a column of texts is none")


def _check_texts(texts: RequestTexts, requests: int) -> bool:
    """Return whether texts are the same for all requests, so that other blocks may have them too."""
    fields = (texts.client_id, texts.arm, texts.purpose, texts.idempotency_key, texts.traceparent)
    lists = [values for values in fields if not isinstance(values, str)]
    keys = texts.routing_key, texts.entity_key
    if any(len(values) != requests for values in lists):
        raise DamagedBlock("it has not a text for each request")
    if any(len(hashes) not in (0, KEY_BYTES * requests) for hashes in keys):
        raise DamagedBlock("it has not a hash for each request")
    return not lists and not any(keys) and not texts.sizes
