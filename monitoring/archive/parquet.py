"""Parquet: records to files and back. This and archive_arrays alone import pyarrow; workers never do.

Columns have the names that people know: `age`, `city`, the outputs' names, and those of the request. A name
that is taken gets the prefix `input.` or `output.`.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from functools import reduce
from operator import and_
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from driftgate.monitoring.archive.arrays import array_of, category_array
from driftgate.monitoring.archive.files import hidden
from driftgate.monitoring.archive.record_filter import RecordFilter
from driftgate.monitoring.log.columns import categories
from driftgate.monitoring.log.compare import RecordedColumn, VersionRecords
from driftgate.monitoring.log.reader import ReadBlock
from driftgate.monitoring.log.record import Array
from driftgate.monitoring.log.records import RecordColumn, layout_of, record_columns

COMPRESSION_LEVEL = 1
"""zstd: level 3 takes twice the time for 3 % less on random floats, and 10 % less on real ones."""
GROUP_ROWS = 128 * 1024
CHUNK_ROWS = 16 * 1024
SLIM_ROLES = frozenset({"output:prediction", "output:score", "output:probabilities", "output:"})
_MEANING = b"driftgate.meaning"
_STAGES = ("parse_ns", "queue_ns", "infer_ns", "encode_ns")


def table_of(blocks: Sequence[ReadBlock]) -> Any:
    """Return the records of blocks as one pyarrow table; columns that some blocks lack are null there."""
    tables = [_table(group) for group in _by_layout(blocks)]
    return tables[0] if len(tables) == 1 else pa.concat_tables(tables, promote_options="permissive")


def write_table(table: Any, path: Path) -> int:
    """Write a table under the hidden name of `path`, wait until the disk has it, return its size in bytes."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = hidden(path)
    with _writer(temporary, table.schema) as writer:
        writer.write_table(table, row_group_size=GROUP_ROWS)
    return _synced_size(temporary)


def merge_files(sources: Sequence[Path], path: Path, slim: bool = False) -> int:
    """Write the records of several files as one, under the hidden name of `path`; return its size in bytes.

    `slim` leaves out inputs and outputs that are no scores. Holds one row group in memory at a time.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = hidden(path)
    _merge(sources, temporary, slim)
    release_memory()
    return _synced_size(temporary)


def release_memory() -> None:
    """Give back what writing files took: the process would keep some hundreds of MB until the next time."""
    pa.default_memory_pool().release_unused()


def read_schema(path: Path) -> Any:
    """Return the schema of a file."""
    return pq.read_schema(path)


def read_table(path: Path, wanted: RecordFilter) -> Any:
    """Return the wanted records of a file."""
    return pq.read_table(path, filters=_expression(wanted), partitioning=None)


def read_chunks(path: Path, wanted: RecordFilter) -> Iterator[Any]:
    """Yield the wanted records of a file, some thousands at a time."""
    with pq.ParquetFile(path) as file:
        for number in range(file.num_row_groups):
            yield from chunks_of(filter_table(file.read_row_group(number), wanted))


def chunks_of(table: Any) -> Iterator[Any]:
    """Yield the records of a table, some thousands at a time; nothing if it has none."""
    for start in range(0, len(table), CHUNK_ROWS):
        yield table.slice(start, CHUNK_ROWS)


def filter_table(table: Any, wanted: RecordFilter) -> Any:
    """Return the wanted records of a table."""
    expression = _expression(wanted)
    return table if expression is None else table.filter(expression)


def join_tables(tables: Iterable[Any]) -> Any:
    """Return the records of several tables as one; columns that some lack are null there."""
    return pa.concat_tables(list(tables), promote_options="permissive")


def latest_rows(table: Any, limit: int) -> list[dict[str, Any]]:
    """Return the latest records as dictionaries, the latest first, without what is null in them."""
    order = pc.sort_indices(table, sort_keys=[("time", "descending"), ("row", "ascending")])
    rows = table.take(order[:limit]).to_pylist()
    return [{name: value for name, value in row.items() if value is not None} for row in rows]


def version_records(table: Any) -> VersionRecords:
    """Return the records of one version as arrays."""
    numbers = {name: table[name].to_numpy() for name in ("row", *_STAGES)}
    columns = [
        RecordedColumn(field.name, _meaning(field), _values(table[field.name]))
        for field in table.schema
        if _meaning(field)
    ]
    return VersionRecords(
        prediction_ids=table["prediction_id"].to_pylist(),
        rows=numbers["row"],
        recorded_us=_times(table["time"]),
        taken_ns=np.sum([numbers[name] for name in _STAGES], axis=0),
        infer_ns=numbers["infer_ns"],
        columns=tuple(columns),
    )


def export_tables(tables: Iterable[Any], schemas: Sequence[Any], path: Path) -> int:
    """Write tables to one file at `path`, whole or not at all; return the number of records."""
    schema = pa.unify_schemas(list(schemas), promote_options="permissive") if schemas else pa.schema([])
    rows = 0
    with _writer(hidden(path), schema) as writer:
        for table in _gathered(_fitted(table, schema) for table in tables):
            rows += len(table)
            writer.write_table(table, row_group_size=GROUP_ROWS)
    os.rename(hidden(path), path)
    return rows


def _merge(sources: Sequence[Path], path: Path, slim: bool) -> None:
    files = [pq.ParquetFile(source) for source in sources]
    schema = pa.unify_schemas([file.schema_arrow for file in files], promote_options="permissive")
    if slim:
        schema = pa.schema([field for field in schema if _meaning(field) in SLIM_ROLES | {""}])
    with _writer(path, schema) as writer:
        for table in _gathered(_groups(files, schema)):
            writer.write_table(table, row_group_size=GROUP_ROWS)
    for file in files:
        file.close()


def _values(column: Any) -> Array:
    if pa.types.is_fixed_size_list(column.type):
        whole = column.combine_chunks()
        return np.asarray(whole.flatten().to_numpy(zero_copy_only=False).reshape(len(whole), -1))
    if pa.types.is_string(column.type):
        return np.array(column.to_pylist(), object)
    if pa.types.is_timestamp(column.type):
        return _times(column)
    return np.asarray(column.to_numpy())


def _times(column: Any) -> Array:
    """Return Unix microseconds, 0 where there is no time."""
    return np.asarray(column.cast(pa.int64()).fill_null(0).to_numpy())


def _expression(wanted: RecordFilter) -> Any:
    conditions = [
        pc.field(name) == value
        for name, value in (
            ("model", wanted.model),
            ("version", wanted.version),
            ("arm", wanted.arm),
            ("code", wanted.code),
            ("prediction_id", wanted.prediction_id),
        )
        if value is not None
    ]
    if wanted.purposes is not None:
        conditions.append(pc.field("purpose").isin(list(wanted.purposes)))
    if wanted.since_us is not None:
        conditions.append(pc.field("time") >= _time(wanted.since_us))
    if wanted.until_us is not None:
        conditions.append(pc.field("time") < _time(wanted.until_us))
    return reduce(and_, conditions) if conditions else None


def _time(time_us: int) -> Any:
    return pa.scalar(time_us, pa.timestamp("us", "UTC"))


def _writer(path: Path, schema: Any) -> Any:
    return pq.ParquetWriter(
        path, schema, compression="zstd", compression_level=COMPRESSION_LEVEL, write_statistics=True
    )


def _synced_size(path: Path) -> int:
    with open(path, "rb") as file:
        os.fsync(file.fileno())
        return os.fstat(file.fileno()).st_size


def _groups(files: Sequence[Any], schema: Any) -> Iterator[Any]:
    for file in files:
        names = [name for name in schema.names if name in file.schema_arrow.names]
        for number in range(file.num_row_groups):
            yield _fitted(file.read_row_group(number, columns=names), schema)


def _fitted(table: Any, schema: Any) -> Any:
    """Return a table with the columns of a schema; those that it lacks are null."""
    for field in schema:
        if field.name not in table.schema.names:
            table = table.append_column(field, pa.nulls(len(table), field.type))
    return table.select(schema.names).cast(schema)


def _gathered(tables: Iterable[Any]) -> Iterator[Any]:
    """Yield tables of at least GROUP_ROWS rows, but for the last."""
    waiting: list[Any] = []
    for table in tables:
        waiting.append(table)
        if sum(map(len, waiting)) >= GROUP_ROWS:
            yield pa.concat_tables(waiting)
            waiting = []
    if waiting:
        yield pa.concat_tables(waiting)


def _by_layout(reads: Sequence[ReadBlock]) -> Iterable[list[ReadBlock]]:
    """Group blocks; most of them have the very same layout, so few are compared."""
    same: dict[int, list[ReadBlock]] = {}
    for read in reads:
        same.setdefault(id(read.block.layout), []).append(read)
    equal: dict[object, list[ReadBlock]] = {}
    for group in same.values():
        equal.setdefault(layout_of(group[0].block), []).extend(group)
    return equal.values()


def _table(blocks: Sequence[ReadBlock]) -> Any:
    fields: list[Any] = []
    arrays: list[Any] = []
    taken: set[str] = set()
    for column in record_columns(blocks):
        array = array_of(column)
        name = _free_name(column, taken)
        taken.add(name)
        fields.append(pa.field(name, array.type, metadata={_MEANING: column.meaning}))
        arrays.append(array)
    model = pa.repeat(pa.scalar(blocks[0].block.header.model), len(arrays[0]))
    boots = [(read.boot, read.block.header.records) for read in blocks]
    return pa.Table.from_arrays(
        [*arrays[:4], model, *arrays[4:], category_array(categories(boots))],
        schema=pa.schema(
            [*fields[:4], pa.field("model", model.type), *fields[4:], pa.field("boot", pa.string())]
        ),
    )


def _free_name(column: RecordColumn, taken: set[str]) -> str:
    name = column.name
    while name in taken or (column.meaning and name in ("model", "boot")):
        name = f"{column.meaning.partition(':')[0]}.{name}"
    return name


def _meaning(field: Any) -> str:
    return ((field.metadata or {}).get(_MEANING) or b"").decode()
