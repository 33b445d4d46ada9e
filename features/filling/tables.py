"""Parquet and CSV files of feature rows. This and table_cells alone import pyarrow here; workers never do.

Rows are numbered from 1, without the header, and read in chunks, so that no file has to fit in memory.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

CHUNK_ROWS = 128 * 1024
CSV_BLOCK_BYTES = 16 * 2**20
COMPRESSION = "lz4"
"""A third of the time of zstd; histories are read far less often than written."""


class InvalidTable(Exception):
    """A file that cannot be read as rows of features; the text says what is wrong with it."""


@dataclass(frozen=True)
class Chunk:
    """Some rows: their numbers in the file, the cells, and lines that are no rows as number and reason.

    `read_bytes` is how far the file has been read, as far as that is known.
    """

    numbers: npt.NDArray[np.int64]
    table: Any
    broken: tuple[tuple[int, str], ...] = ()
    read_bytes: int = 0


@dataclass(frozen=True)
class TableFile:
    """One file that was looked at: its columns, and how many rows it has, which CSV does not tell."""

    path: Path
    columns: tuple[str, ...]
    rows: int | None
    size_bytes: int

    @property
    def is_csv(self) -> bool:
        """Whether its cells are text."""
        return self.path.suffix.lower() == ".csv"

    def chunks(self, columns: Sequence[str], skip_rows: int = 0) -> Iterator[Chunk]:
        """Yield the rows of some columns, but not the first `skip_rows`; raise InvalidTable or OSError."""
        read = _csv_chunks if self.is_csv else _parquet_chunks
        try:
            for chunk in read(self, columns):
                if len(chunk.numbers) == 0 or chunk.numbers[-1] > skip_rows:
                    yield _without_first(chunk, skip_rows)
        except pa.ArrowException as error:
            raise InvalidTable(f"{self.path.name} cannot be read on: {_first_line(error)}") from error


def open_table(path: Path) -> TableFile:
    """Look at a `.parquet` or `.csv` file; raise InvalidTable if it is none, OSError if it is not there."""
    size_bytes = os.stat(path).st_size
    try:
        if path.suffix.lower() == ".csv":
            return TableFile(path, _csv_columns(path), None, size_bytes)
        if path.suffix.lower() == ".parquet":
            with pq.ParquetFile(path) as file:
                return TableFile(path, tuple(file.schema_arrow.names), file.metadata.num_rows, size_bytes)
    except pa.ArrowException as error:
        raise InvalidTable(f"{path.name} cannot be read: {_first_line(error)}") from error
    raise InvalidTable(f"{path.name} is neither .parquet nor .csv")


def write_parquet(path: Path, columns: dict[str, Any]) -> None:
    """Write columns as one Parquet file that appears under its name when it is whole."""
    table = pa.table({name: as_arrow(values) for name, values in columns.items()})
    hidden = path.with_name(f".{path.name}.part")
    pq.write_table(table, hidden, compression=COMPRESSION, use_dictionary=False, write_statistics=False)
    os.rename(hidden, path)


def export_parquet(path: Path, parts: Iterable[dict[str, Any]]) -> int:
    """Write parts with the same columns to one file, whole or not at all; return the number of rows."""
    hidden, writer, rows = path.with_name(f".{path.name}.part"), None, 0
    try:
        for part in parts:
            table = pa.table({name: as_arrow(values) for name, values in part.items()})
            writer = writer or pq.ParquetWriter(hidden, table.schema, compression="zstd")
            writer.write_table(table)
            rows += len(table)
        if writer is not None:
            writer.close()
            os.rename(hidden, path)
    except BaseException:
        hidden.unlink(missing_ok=True)
        raise
    return rows


def read_parquet(paths: Sequence[Path], columns: Sequence[str]) -> Any:
    """Return some columns of several files as one table, null where a file lacks one; raise InvalidTable."""
    try:
        tables = [pq.ParquetFile(path).read(columns=list(columns)) for path in paths]
        return pa.concat_tables(tables, promote_options="permissive")
    except pa.ArrowException as error:
        raise InvalidTable(f"the files of {paths[0].parent} cannot be read: {_first_line(error)}") from error


def as_arrow(values: Any) -> Any:
    """Return a column as Arrow: a masked array has nulls, one with two dimensions becomes lists."""
    mask = np.ma.getmaskarray(values) if isinstance(values, np.ma.MaskedArray) else None
    plain = np.ma.getdata(values)
    if plain.dtype.kind == "M":
        return pa.array(plain, pa.timestamp("us", "UTC"))
    if plain.ndim == 1:
        return pa.array(plain, mask=mask)
    flat = pa.array(plain.reshape(-1))
    rows = None if mask is None else pa.array(mask[:, 0])
    return pa.FixedSizeListArray.from_arrays(flat, plain.shape[1], mask=rows)


def _parquet_chunks(file: TableFile, columns: Sequence[str]) -> Iterator[Chunk]:
    with pq.ParquetFile(file.path) as parquet:
        first = 1
        for batch in parquet.iter_batches(CHUNK_ROWS, columns=list(columns)):
            numbers = np.arange(first, first + len(batch))
            first += len(batch)
            share = (first - 1) / max(1, file.rows or 0)
            yield Chunk(numbers, batch, read_bytes=int(file.size_bytes * share))


def _csv_chunks(file: TableFile, columns: Sequence[str]) -> Iterator[Chunk]:
    broken = _BrokenLines()
    with open(file.path, "rb") as stream:
        reader = _csv_reader(stream, columns, broken)
        first = 1
        for batch in reader:
            lines = broken.take()
            numbers = _numbers(first, len(batch), [number for number, _ in lines])
            first += len(batch) + len(lines)
            yield Chunk(numbers, batch, lines, stream.tell())


def _csv_reader(stream: Any, columns: Sequence[str], broken: "_BrokenLines") -> Any:
    return pa_csv.open_csv(
        stream,
        read_options=pa_csv.ReadOptions(block_size=CSV_BLOCK_BYTES, use_threads=False),
        parse_options=pa_csv.ParseOptions(newlines_in_values=True, invalid_row_handler=broken.note),
        convert_options=pa_csv.ConvertOptions(
            column_types=dict.fromkeys(columns, pa.string()),
            include_columns=list(columns),
            strings_can_be_null=True,
            null_values=[""],
            quoted_strings_can_be_null=False,
        ),
    )


def _csv_columns(path: Path) -> tuple[str, ...]:
    options = pa_csv.ReadOptions(block_size=2**20, use_threads=False)
    parsing = pa_csv.ParseOptions(newlines_in_values=True, invalid_row_handler=_skip)
    with open(path, "rb") as stream:
        return tuple(pa_csv.open_csv(stream, read_options=options, parse_options=parsing).schema.names)


def _skip(line: Any) -> str:
    return "skip"


@dataclass
class _BrokenLines:
    """Lines of a CSV file that have too many or too few cells."""

    found: list[tuple[int, str]] = field(default_factory=list)

    def note(self, line: Any) -> str:
        """Keep a line's number, without the header's."""
        reason = f"{line.actual_columns} cells where the header has {line.expected_columns}"
        self.found.append((line.number - 1, reason))
        return "skip"

    def take(self) -> tuple[tuple[int, str], ...]:
        """Return what was found since the last time."""
        taken, self.found = tuple(self.found), []
        return taken


def _numbers(first: int, rows: int, broken: Sequence[int]) -> npt.NDArray[np.int64]:
    """Return the numbers of the rows of a block, between which there are broken lines."""
    every = np.arange(first, first + rows + len(broken))
    return np.setdiff1d(every, np.array(broken, np.int64), assume_unique=True)


def _without_first(chunk: Chunk, skip_rows: int) -> Chunk:
    done = int(np.searchsorted(chunk.numbers, skip_rows, "right"))
    broken = tuple(line for line in chunk.broken if line[0] > skip_rows)
    return Chunk(chunk.numbers[done:], chunk.table.slice(done), broken, chunk.read_bytes)


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:300]
