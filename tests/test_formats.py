"""Every file format that was released is still read, and a newer one is refused with a clear message."""

import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import google_crc32c
import numpy as np
import pytest

from driftgate.gateway.access.tokens import TokenSet, UnreadableTokens, decode_tokens
from driftgate.gateway.layout import StateLayout
from driftgate.gateway.state.backup_manifest import BackupError, decode_backup
from driftgate.gateway.state.beat import BeatState, Run, read_beat
from driftgate.gateway.state.counters import LAYOUT, read_counters
from driftgate.gateway.state.desired import Arm, UnreadableState, decode_state
from driftgate.gateway.state.integer_blocks import UnreadableBlocks
from driftgate.gateway.state.journal import DamagedJournal, decode_line, read_journal, verify_journal
from driftgate.gateway.state.slots import read_status
from driftgate.models.errors import InvalidManifest
from driftgate.models.schema.manifest import decode_manifest
from driftgate.monitoring.log.frames import NewerFormat, salt_of
from driftgate.monitoring.log.records import record_columns

from harness.records import blocks_of, numbers_in, reader

FORMAT_1 = Path(__file__).parent / "fixtures" / "format-1"
TOKEN = "dg_aeaqcaib_aibaeaqcaibaeaqcaibaeaqcaibaeaqcaibaeaqcaibaeaqcaiba"  # noqa: S105 - of the fixture, and of nothing else
FORMAT_2 = FORMAT_1.with_name("format-2")
SEGMENT_1, SEGMENT_2 = (next(there.glob("*.seg")) for there in (FORMAT_1, FORMAT_2))


def test_desired_state() -> None:
    """A generation of format 1 says what is held, split and set, and who did it."""
    state = decode_state((FORMAT_1 / "desired.json").read_bytes())
    model = state.models["fraud"]
    assert (state.who, state.why) == ("admin-api@127.0.0.1", "traffic")
    assert model.split.arms == (Arm("stable", 7, 900_000), Arm("canary", 8, 100_000))
    assert (model.settings.owner, model.history) == ("risk", (7,))


def test_manifest() -> None:
    """A manifest of format 1 describes its version."""
    manifest = decode_manifest((FORMAT_1 / "manifest.json").read_bytes())
    assert (manifest.name, manifest.version, manifest.signature.inputs[0].name) == ("m", 1, "x")


def test_tokens() -> None:
    """A token that was made with format 1 is still good."""
    file = decode_tokens((FORMAT_1 / "tokens.json").read_bytes())
    holder = TokenSet(file.tokens).holder_of(TOKEN)
    assert holder is not None
    assert (holder.name, holder.quota is not None) == ("ci", True)


def test_backup() -> None:
    """The list of files and versions of a backup of format 1 is read."""
    backup = decode_backup((FORMAT_1 / "backup.json").read_bytes())
    assert (backup.generation, backup.versions[0].model, backup.versions[0].version) == (1, "fraud", 7)


def test_journal() -> None:
    """A journal of format 1 is read and verifies."""
    kinds = [event.kind for event in read_journal(FORMAT_1, "supervisor")]
    assert kinds == ["process_ended", "gateway_started"]
    assert verify_journal(FORMAT_1, "supervisor") == 2


def test_beat() -> None:
    """A beat of format 1 tells state, pulse and what runs."""
    beat = read_beat(FORMAT_1 / "beat")
    assert beat is not None
    assert (beat.state, beat.pid, beat.generation, beat.in_flight) == (BeatState.ACCEPTING, 42, 1, 3)
    assert beat.runs == (Run("fraud/7", 1_500_000_000),)


def test_status(tmp_path: Path) -> None:
    """A status of format 1 tells what a slot holds."""
    status = read_status(slot_with("status.json", tmp_path), 0)
    assert status is not None
    assert (status.accepting, status.versions[0].state) == (True, "READY")


def test_counters(tmp_path: Path) -> None:
    """Counts of format 1 go on."""
    (read,) = read_counters(counters(tmp_path))
    assert (read.model, read.version, read.code_counts()) == ("fraud", "7", {200: 1})


@pytest.mark.parametrize(("segment", "buckets"), [(SEGMENT_1, [-1, -1, -1]), (SEGMENT_2, [0, 500_000, -1])])
def test_prediction_log(segment: Path, buckets: list[int], tmp_path: Path) -> None:
    """Every record of a log of format 1 or 2 is read whole; the buckets of requests came with format 2."""
    (read,) = blocks_of(found := list(reader(log(segment, tmp_path)).read()))
    assert numbers_in(found) == [1, 2, 3]
    columns = {column.name: column.values for column in record_columns([read])}
    assert np.asarray(columns["bucket"]).tolist() == buckets
    assert np.asarray(columns["age"]).tolist() == [1.0, 2.0, 3.0]
    assert np.asarray(columns["code"]).tolist() == [200, 200, 200]


def slot_with(name: str, root: Path) -> StateLayout:
    layout = StateLayout(root)
    layout.slot(0).mkdir(parents=True)
    shutil.copy(FORMAT_1 / name, layout.slot(0) / name)
    return layout


def counters(root: Path) -> Path:
    """Put the zeros back that the fixture leaves out."""
    path = root / "counters"
    path.write_bytes((FORMAT_1 / "counters").read_bytes().ljust(LAYOUT.file_bytes, b"\0"))
    return path


def log(segment: Path, root: Path) -> Path:
    directory = root / "slots" / "1" / "log"
    directory.mkdir(parents=True)
    shutil.copy(segment, directory / segment.name)
    return root


@pytest.mark.parametrize(
    ("name", "decode", "error"),
    [
        ("desired.json", decode_state, UnreadableState),
        ("manifest.json", decode_manifest, InvalidManifest),
        ("tokens.json", decode_tokens, UnreadableTokens),
        ("backup.json", decode_backup, BackupError),
        ("supervisor-000000000001.jsonl", decode_line, DamagedJournal),
    ],
)
@pytest.mark.parametrize("more", [b"", b'"new field": {},'])
def test_a_newer_document_is_refused_by_its_number(
    name: str, decode: Callable[[bytes], object], error: type[Exception], more: bytes
) -> None:
    """A JSON file of format 2 is refused with both numbers, whatever else is in it."""
    old = (FORMAT_1 / name).read_bytes().splitlines()[0 if name.endswith("jsonl") else slice(None)]
    data = old if isinstance(old, bytes) else b"\n".join(old)
    newer = data.replace(b'"format": 1,', b'"format": 2,' + more, 1)
    newer = newer.replace(b'"format":1,', b'"format":2,' + more, 1)
    with pytest.raises(error, match=r"ha(s|ve) format 2; this Driftgate reads( format)? 1"):
        decode(newer)


def test_newer_files_of_a_slot_are_not_taken_for_old_ones(tmp_path: Path) -> None:
    """Beat, status and counters of format 2, which only last as long as their process, read as nothing."""
    beat = bytearray((FORMAT_1 / "beat").read_bytes())
    assert beat[8] == 1
    beat[8] = 2
    (tmp_path / "beat").write_bytes(beat)
    assert read_beat(tmp_path / "beat") is None
    layout = slot_with("status.json", tmp_path)
    status = layout.slot(0) / "status.json"
    status.write_bytes(status.read_bytes().replace(b'"format":1', b'"format":2', 1))
    assert read_status(layout, 0) is None
    path = counters(tmp_path)
    path.write_bytes(path.read_bytes().replace(b"DGCOUNT1", b"DGCOUNT2", 1))
    with pytest.raises(UnreadableBlocks, match="of another format"):
        read_counters(path)


def test_a_newer_prediction_log_is_refused(tmp_path: Path) -> None:
    """A log of format 3 is left unread, and the message names both numbers."""
    root = log(SEGMENT_2, tmp_path)
    path = root / "slots" / "1" / "log" / SEGMENT_2.name
    data = path.read_bytes()
    fields = data[:4] + b"\3" + data[5:28]
    check = google_crc32c.extend(salt_of(SEGMENT_2.name.partition("-")[0]), fields)
    path.write_bytes(fields + struct.pack("<I", check) + data[32:])
    with pytest.raises(NewerFormat, match="has format 3; this Driftgate reads up to 2"):
        list(reader(root).read())
