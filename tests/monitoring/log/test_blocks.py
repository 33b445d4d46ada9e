"""Blocks keep what was predicted, and only what may be kept."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftgate.monitoring.log.blocks import (
    Block,
    BlockDecoder,
    DamagedBlock,
    ids_of,
    keys_of,
    numbers_of,
    tensor_of,
    texts_of,
)
from driftgate.monitoring.log.columns import Texts
from driftgate.monitoring.log.encoder import BlockEncoder, EncodedBlock
from driftgate.monitoring.log.policy import ModelLogPolicy
from driftgate.monitoring.log.record import RecordedVersion, TensorColumns, TurnRecord
from driftgate.monitoring.log.redaction import cut, keyed_hash

from harness.records import SECRET, failure, prediction_id, turn, version


def encode(*turns: TurnRecord) -> list[EncodedBlock]:
    return BlockEncoder(SECRET).encode(turns)


def blocks(*turns: TurnRecord) -> list[Block]:
    decoder = BlockDecoder()
    return [decoder.decode(encoded.payload) for encoded in encode(*turns)]


def only(*turns: TurnRecord) -> Block:
    (block,) = blocks(*turns)
    return block


def texts(values: Any) -> list[str]:
    assert isinstance(values, Texts)
    return values.tolist()


def hiding(how: str, column: str) -> ModelLogPolicy:
    names = frozenset({column})
    return ModelLogPolicy(drop=names) if how == "drop" else ModelLogPolicy(hash=names)


def tensor(block: Block, name: str) -> Any:
    entries = enumerate(block.layout.tensors)
    return tensor_of([block], next(place for place, entry in entries if name in (entry.name, *entry.columns)))


def numbers(block: Block, name: str) -> list[Any]:
    return list(numbers_of([block])[name].tolist())


def ids(block: Block) -> list[bytes]:
    return [bytes(row) for row in ids_of([block])]


def test_turns_of_one_version_share_a_block() -> None:
    """Turns of the same version and shape are one block, in their order, with names and roles."""
    of = version()
    block = only(turn(of, [1, 2]), turn(of, [3], rows=2))
    assert (block.header.model, block.header.version, block.header.requests) == ("fraud", 3, 3)
    assert block.header.records == 4
    assert tensor(block, "age")[:, 0].tolist() == [1, 2, 3, 3]
    assert texts(tensor(block, "city")) == ["city 1", "city 2", "city 3", "city 3"]
    assert [(e.name, e.role, e.columns, e.meaning) for e in block.layout.tensors] == [
        ("people", "input", ("age", "income"), ""),
        ("city", "input", ("city",), ""),
        ("label", "output", (), "prediction"),
        ("p", "output", ("no", "yes"), "probabilities"),
    ]


def test_what_differs_is_kept_apart() -> None:
    """Another version, generation or shape of arrays makes another block."""
    one, other = version(), version(number=4)
    wide = turn(one, [5])
    wide.inputs = {"people": np.zeros((1, 7), np.float32)}
    found = blocks(turn(one, [1]), turn(other, [2]), turn(one, [3], generation=2), wide, failure(one, 4))
    assert [block.header.requests for block in found] == [1, 1, 1, 1, 1]


def test_failures_are_recorded_without_rows() -> None:
    """A request that was never computed has a record, and no payload."""
    block = only(failure(version(), 9, code=415))
    assert block.header.records == 1
    assert not block.layout.tensors
    assert numbers(block, "code") == [415]


@given(st.text(max_size=8), st.integers(0, 2**40), st.sampled_from([None, 0.0, 0.25, 1.0]), st.integers(1, 3))
def test_every_field_of_a_request_survives(text: str, ns: int, share: float | None, rows: int) -> None:
    """Texts, times, codes, propensity and bucket come back; ids are kept as 16 bytes."""
    text = text.encode("utf-8", "ignore").decode()
    fields: dict[str, Any] = {
        "client_id": text,
        "arm": text,
        "idempotency_key": text,
        "traceparent": text,
        "purpose": text,
    }
    choice: dict[str, Any] = {"propensity": share, "bucket": -1 if share is None else 999_999}
    times = dict.fromkeys(("parse_ns", "queue_ns", "infer_ns", "encode_ns"), ns)
    block = only(turn(version(), [1, 2], rows, **fields, **times, **choice, first_row=7, code=422))
    for name in fields:
        assert texts_of([block], name).tolist() == [text, text]
    for name in times:
        assert numbers(block, name) == [ns] * 2
    assert numbers(block, "first_row") == [7, 7]
    assert numbers(block, "bucket") == [choice["bucket"]] * 2
    expected = np.array([np.nan if share is None else share] * 2)
    np.testing.assert_array_equal(numbers(block, "propensity"), expected)
    assert [one.hex() for one in ids(block)] == [prediction_id(n).replace("-", "") for n in (1, 2)]


def test_texts_that_differ_are_kept_each() -> None:
    """Requests of one block with texts of their own keep them, lone surrogates written out."""
    made = turn(version(), [1, 2, 3])
    for request, text in zip(made.requests, ("é", "", "\ud800"), strict=True):
        request.client_id = text
    block = only(made)
    assert texts_of([block], "client_id").tolist() == ["é", "", "\\ud800"]
    assert texts_of([block], "arm").tolist() == ["stable"] * 3


def test_keys_are_kept_as_keyed_hashes_only() -> None:
    """Routing and entity keys never reach the disk; equal keys have equal hashes, no key has none."""
    made = turn(version(), [1, 2, 3])
    for request, key in zip(made.requests, (b"user-8841", b"", b"user-8841"), strict=True):
        request.routing_key = request.entity_key = key
    (encoded,) = encode(made)
    assert b"user-8841" not in encoded.payload
    for name in ("routing_key", "entity_key"):
        hashes = [bytes(row) for row in keys_of(blocks(made), name)]
        assert hashes == [keyed_hash(b"user-8841", SECRET), bytes(16), keyed_hash(b"user-8841", SECRET)]
    assert keyed_hash(b"user-8841", SECRET) != keyed_hash(b"user-8841", b"other")


def test_dropped_columns_are_nowhere() -> None:
    """Columns and whole tensors in `drop` are left out and named."""
    block = only(turn(version(drop=frozenset({"income", "city", "label"})), [1, 2]))
    assert [(e.name, e.columns) for e in block.layout.tensors] == [
        ("people", ("age",)),
        ("p", ("no", "yes")),
    ]
    assert tensor(block, "age").tolist() == [[1], [2]]
    assert set(block.layout.omitted) == {"income", "city", "label"}


def test_hashed_columns_show_equality_and_nothing_else() -> None:
    """Columns in `hash`, numbers or texts, are keyed hashes in hexadecimal."""
    made = turn(version(hash=frozenset({"income", "city"})), [4, 4, 5])
    (encoded,) = encode(made)
    block = BlockDecoder().decode(encoded.payload)
    assert b"city 4" not in encoded.payload
    for name in ("income", "city"):
        first, second, third = texts(tensor(block, name))
        assert first == second != third
        assert len(bytes.fromhex(first)) == 16
    assert tensor(block, "age").tolist() == [[4], [4], [5]]


@pytest.mark.parametrize("shape", [(2,), (2, 1)])
@pytest.mark.parametrize("how", ["drop", "hash"])
def test_a_tensor_that_is_one_column_is_known_by_the_columns_name(how: str, shape: tuple[int, ...]) -> None:
    """`drop` and `hash` find a column by its name, whatever its tensor is called and shaped."""
    of = RecordedVersion("m", 1, (TensorColumns("input_7", ("email",)),), (), hiding(how, "email"))
    made = TurnRecord(of, 1, turn(version(), [1, 2]).requests)
    made.inputs = {"input_7": np.array(["a@example.com", "b@example.com"], object).reshape(shape)}
    (encoded,) = encode(made)
    assert b"example.com" not in encoded.payload
    block = BlockDecoder().decode(encoded.payload)
    assert [entry.columns for entry in block.layout.tensors] == ([("email",)] if how == "hash" else [])


@pytest.mark.parametrize("how", ["drop", "hash"])
def test_what_cannot_be_told_apart_is_not_kept(how: str) -> None:
    """A tensor that should hold a hidden column and has another shape than described is left out whole."""
    hides: dict[str, Any] = {how: frozenset({"age"})}
    made = turn(version(**hides), [1, 2])
    made.inputs = {"people": np.zeros((2, 3), np.float32)}
    assert only(made).layout.omitted == ("people",)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("short", "short"),
        ("x" * 10, "x" * 10),
        ("x" * 11, "xxxxxxxxxx…[11 bytes]"),
        ("é" * 9, "ééééé…[18 bytes]"),
    ],
)
def test_long_texts_are_cut_and_marked(text: str, kept: str) -> None:
    """A text beyond the limit keeps its beginning, whole characters, and says how long it was."""
    assert cut(text, 10) == kept
    made = turn(version(max_text_bytes=10), [1])
    made.inputs = {"city": np.array([text], object)}
    assert texts(tensor(only(made), "city")) == [kept]


def test_wide_tensors_are_left_out() -> None:
    """A tensor of more bytes per row than allowed is not recorded, and named."""
    block = only(turn(version(max_row_bytes=8), [1, 2]))
    assert "people" not in block.layout.omitted
    block = only(turn(version(max_row_bytes=7), [1, 2]))
    assert {"people", "p"} <= set(block.layout.omitted)
    assert block.header.records == 2


def test_sampling_keeps_counts_and_some_payloads() -> None:
    """Every request is recorded; about the share asked for keeps its rows, the same ones every time."""
    made = turn(version(sample=0.25), range(4000), rows=2)
    kept, bare = blocks(made)
    assert kept.header.requests + bare.header.requests == 4000
    assert kept.header.rows == 2 * kept.header.requests
    assert bare.header.rows == 0
    assert 0.2 < kept.header.requests / 4000 < 0.3
    assert kept.payload == blocks(made)[0].payload
    ages = tensor(kept, "age")[::2, 0].astype(int).tolist()
    assert ages == [int.from_bytes(one[9:], "big") for one in ids(kept)]


def test_outputs_that_do_not_count_rows_are_left_out() -> None:
    """An output of another length than the inputs cannot be laid beside them; it is named instead."""
    made = turn(version(), [1, 2])
    made.outputs = {"label": np.zeros(5), "p": np.float32(3) * np.ones(())}
    assert set(only(made).layout.omitted) == {"label", "p"}


def test_feature_status_is_kept_beside_the_rows() -> None:
    """The status of every feature is a column of its own."""
    made = turn(version(), [1, 2])
    made.feature_status = np.array([[0, 1], [2, 0]], np.uint8)
    assert tensor(only(made, made), "feature_status").tolist() == [[0, 1], [2, 0], [0, 1], [2, 0]]
    made.feature_status = made.feature_status[:1]
    assert only(made).layout.omitted == ("feature_status",)


@pytest.mark.parametrize("payload", [b"", b"\0", b"\xff" * 40, b"\x04\0\0\0abcd"])
def test_bytes_that_are_no_block_are_refused(payload: bytes) -> None:
    """Whatever is no block raises DamagedBlock and nothing else."""
    with pytest.raises(DamagedBlock):
        BlockDecoder().decode(payload)


@given(st.binary(max_size=200), st.integers(0, 3000))
def test_damage_is_read_or_refused(noise: bytes, at: int) -> None:
    """A block overwritten anywhere is read or refused, never worse."""
    (encoded,) = encode(turn(version(), [1, 2, 3]))
    damaged = encoded.payload[:at] + noise + encoded.payload[at + len(noise) :]
    try:
        BlockDecoder().decode(damaged)
    except DamagedBlock:
        return


def test_models_of_no_named_columns_are_recorded() -> None:
    """A version that describes nothing keeps its tensors under their own names."""
    made = turn(RecordedVersion("bare", 1, (TensorColumns("people"),)), [1])
    assert [entry.name for entry in only(made).layout.tensors] == ["people", "city", "label", "p"]
