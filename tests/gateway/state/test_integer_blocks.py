"""Blocks of integers: kept over restarts, bounded, shown when damaged, and never short of space."""

from pathlib import Path

import pytest

from driftgate.gateway.state.integer_blocks import (
    HEADER_BYTES,
    BlockFile,
    BlockLayout,
    UnreadableBlocks,
    read_blocks,
)

SMALL = BlockLayout(b"DGTESTS1", key_bytes=16, cells=4, max_blocks=3)


def test_counts_go_on_after_a_restart(tmp_path: Path) -> None:
    """A file that is opened again goes on with the same numbers."""
    for count in (1, 2):
        BlockFile(tmp_path / "counts", SMALL).of("a", "b")[0] += 1
        assert read_blocks(tmp_path / "counts", SMALL)[0].cells[0] == count


def test_names_are_bounded(tmp_path: Path) -> None:
    """Names for which there is no room, or that are too long, share one block."""
    file = BlockFile(tmp_path / "counts", SMALL)
    file.of("a", "b")[0] = 1
    file.of("", "")
    for name in ("c", "d", "e" * 100):
        file.of(name, "x")[0] += 1
    found = {block.names: block.cells[0] for block in read_blocks(tmp_path / "counts", SMALL)}
    assert found[("a", "b")] == 1
    assert len(found) <= SMALL.max_blocks
    assert sum(found.values()) == 4


def test_a_missing_file_has_no_blocks(tmp_path: Path) -> None:
    """Who never counted has no counts."""
    assert read_blocks(tmp_path / "counts", SMALL) == []


def a_file_with_the_name(path: Path, name: bytes) -> bytes:
    """Return a file whose only block is named by these bytes."""
    BlockFile(path, SMALL).of("a", "b")[0] = 7
    data = bytearray(path.read_bytes())
    data[HEADER_BYTES : HEADER_BYTES + 2 + len(name)] = len(name).to_bytes(2, "little") + name
    return bytes(data)


@pytest.mark.parametrize("name", [b"\xff\0b", b"alone", b"a\0b\0c"])
@pytest.mark.parametrize("size", [0, 9, SMALL.file_bytes])
def test_a_damaged_file_is_begun_anew(tmp_path: Path, name: bytes, size: int) -> None:
    """Whoever reads is told, and gets no invented numbers; whoever writes begins anew."""
    path = tmp_path / "counts"
    path.write_bytes(a_file_with_the_name(tmp_path / "other", name)[:size])
    with pytest.raises(UnreadableBlocks):
        read_blocks(path, SMALL)
    BlockFile(path, SMALL).of("a", "")[1] = 5
    assert [block.cells for block in read_blocks(path, SMALL)] == [(0, 5, 0, 0)]


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    """Blocks of another format are not taken for old ones."""
    path = tmp_path / "counts"
    BlockFile(path, SMALL)
    path.write_bytes(path.read_bytes().replace(b"DGTESTS1", b"DGTESTS2"))
    with pytest.raises(UnreadableBlocks):
        read_blocks(path, SMALL)


def test_every_cell_has_its_place_on_the_disk(tmp_path: Path) -> None:
    """The whole file is allocated at the start: counting never needs space that a full disk has not."""
    BlockFile(tmp_path / "counts", SMALL)
    assert (tmp_path / "counts").stat().st_blocks * 512 >= SMALL.file_bytes
