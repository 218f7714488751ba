"""Files as tables of unchanged cells: CSV as text, JSON and Parquet with their types."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePath
from typing import Any, BinaryIO

import msgspec
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from app.tables.columns import DECIMAL, TEXT
from app.tables.csv_form import NAMES, CsvForm, form_of, odd_line, opened, undecodable
from app.tables.errors import TableError
from app.tables.exports import plain_export
from app.tables.in_memory import TableBytes, TableFile

CSV, PARQUET, JSONL = frozenset({".csv", ".tsv"}), frozenset({".parquet", ".pq"}), frozenset({".jsonl", ".ndjson"})
ENVELOPE = frozenset({"model", "model_version", "metadata"})
"""Fields of an event that are no columns of its table."""
BLOCK = 4 << 20
"""Bytes of a CSV file that are parsed at a time."""
WHOLE = 1 << 40
"""Number of rows that is larger than that of any table."""

_NULLABLE: dict[pa.DataType, Any] = {
    pa.int8(): pd.Int8Dtype(), pa.int16(): pd.Int16Dtype(), pa.int32(): pd.Int32Dtype(), pa.int64(): pd.Int64Dtype(),
    pa.uint8(): pd.UInt8Dtype(), pa.uint16(): pd.UInt16Dtype(), pa.uint32(): pd.UInt32Dtype(),
    pa.uint64(): pd.UInt64Dtype(), pa.bool_(): pd.BooleanDtype(),
}  # fmt: skip
"""pandas' nullable types for whole numbers and truth values. The default types would turn gaps into floats."""
_OBJECT = msgspec.json.Decoder(dict[str, Any])


@dataclass(frozen=True, slots=True)
class FileOptions:
    """Given properties of a file; None is detected."""

    encoding: str | None = None
    separator: str | None = None
    decimal: str | None = None


FOUND = FileOptions()


def kind_of_file(path: TableFile) -> str:
    """Return a file's extension without .gz. Raises TableError where no reader supports it."""
    named = PurePath(str(path))
    plain = named.with_suffix("") if named.suffix.lower() == ".gz" else named
    kind = plain.suffix.lower()
    if kind not in CSV | PARQUET | JSONL or (kind in PARQUET and plain != named):
        raise TableError(f"{path}: unknown kind of file; give .csv, .parquet or .jsonl (.csv.gz and .jsonl.gz too)")
    return kind


def read_table(path: TableFile, options: FileOptions = FOUND) -> pd.DataFrame:
    """Return a CSV, Parquet or JSONL file as a table; of a folder, the files of one kind in it, in their order.

    For events in JSONL, `features` become columns of their own. The columns of an export of the history are named as
    in events (see `plain_export`). Raises TableError; OSError where the file cannot be opened.
    """
    if isinstance(path, Path) and path.is_dir():
        return _folder(path, options)
    if isinstance(path, Path) and not path.is_file():
        kind_of_file(path)
        raise TableError(f"{path}: no such file")
    found = list(read_chunks(path, WHOLE, options))
    if not found:
        raise TableError(f"{path}: the table has no rows")
    return plain_export(found[0])


def _folder(folder: Path, options: FileOptions) -> pd.DataFrame:
    files = sorted(path for path in folder.iterdir() if path.is_file() and path.name[:1] not in "._")
    kinds = {kind_of_file(path) for path in files}
    if len(kinds) != 1:
        found = f"has {' and '.join(sorted(kinds))} files" if kinds else "has no files"
        raise TableError(f"{folder}: {found}; a folder must have files of one kind, .csv, .parquet or .jsonl")
    tables = [read_table(path, options) for path in files]
    if len({tuple(sorted(table.attrs.items())) for table in tables}) > 1:
        raise TableError(f"{folder}: its files have different decimal marks; --decimal says which")
    table = pd.concat(tables, ignore_index=True)
    table.attrs = tables[0].attrs
    return table


def read_chunks(
    path: TableFile, rows: int, options: FileOptions = FOUND, *, events: bool = True
) -> Iterator[pd.DataFrame]:
    """Yield a file's table in parts of `rows` rows, in bounded memory; nothing for a table without rows.

    `events`: whether a line of JSONL may be an event. Raises TableError; OSError where the file cannot be opened.
    """
    kind = kind_of_file(path)
    try:
        if kind in CSV:
            yield from _csv(path, rows, options)
        elif kind in PARQUET:
            yield from _parquet(path, rows)
        else:
            yield from _jsonl(path, rows, events=events)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, EOFError) as error:
        raise TableError(f"{path}: {_words(error)}") from None


def form_words(path: TableFile, options: FileOptions = FOUND) -> str:
    """Return the detected properties of a CSV file that are unusual, as text; empty where there are none."""
    if kind_of_file(path) not in CSV:
        return ""
    form = form_of(path, options.encoding, options.separator, options.decimal)
    unusual = [
        *([form.encoding.upper()] if form.encoding != "utf-8" else []),
        *([f"separated by {NAMES.get(form.separator, repr(form.separator))}"] if form.separator != "," else []),
        *(["decimal commas"] if form.decimal == "," else []),
    ]
    return f"{path}: read as {', '.join(unusual)} (--encoding, --separator and --decimal change it)" if unusual else ""


def _words(error: Exception) -> str:
    return " ".join(str(error).split())


def with_names(frame: pd.DataFrame, path: TableFile | str) -> pd.DataFrame:
    """Return a table with its columns' names as texts. Raises TableError naming `path` where two are the same."""
    frame.columns = frame.columns.map(lambda name: unicodedata.normalize("NFC", str(name)))
    twice = frame.columns[frame.columns.duplicated()]
    if len(twice):
        raise TableError(f"{path}: column {twice[0]!r} stands there twice: give each column a name of its own")
    return frame


def _csv(path: TableFile, rows: int, options: FileOptions) -> Iterator[pd.DataFrame]:
    form = form_of(path, options.encoding, options.separator, options.decimal)
    with opened(path) as file:
        try:
            for frame in _parts(_csv_batches(file, form), rows):
                frame.attrs = {TEXT: True, DECIMAL: form.decimal}
                yield with_names(frame, path)
        except UnicodeError as error:
            raise undecodable(path, form.encoding, error) from None
        except pa.ArrowInvalid as error:
            if "invalid UTF8" in str(error):
                raise undecodable(path, form.encoding, error) from None
            raise TableError(f"{path}: {odd_line(path, form) or _words(error)}") from None


def _csv_batches(file: BinaryIO, form: CsvForm) -> Iterator[pa.RecordBatch]:
    try:
        reader = pa_csv.open_csv(
            file,
            read_options=pa_csv.ReadOptions(
                column_names=list(form.names), skip_rows=form.header_lines, encoding=form.encoding, block_size=BLOCK
            ),
            parse_options=pa_csv.ParseOptions(delimiter=form.separator, newlines_in_values=True),
            convert_options=pa_csv.ConvertOptions(
                column_types=dict.fromkeys(form.names, pa.string()), strings_can_be_null=False
            ),
        )
    except pa.ArrowInvalid as error:
        if "Empty CSV" in str(error):
            return
        raise
    yield from reader


def _parquet(path: TableFile, rows: int) -> Iterator[pd.DataFrame]:
    with pq.ParquetFile(path.open() if isinstance(path, TableBytes) else path) as file:
        for frame in _parts(file.iter_batches(batch_size=min(rows, 64 * 1024)), rows):
            unnamed = [name for name in frame.columns if re.fullmatch(r"__index_level_\d+__", str(name))]
            yield with_names(frame.drop(columns=unnamed), path)


def parquet_cells(file: TableBytes) -> int:
    """Return the number of cells of a Parquet file by its metadata; its bytes may unpack to a thousand times as many.

    Raises TableError.
    """
    try:
        with pq.ParquetFile(file.open()) as found:
            return int(found.metadata.num_rows * found.metadata.num_columns)
    except pa.ArrowException as error:
        raise TableError(f"{file}: {_words(error)}") from None


def _parts(batches: Iterator[pa.RecordBatch], rows: int) -> Iterator[pd.DataFrame]:
    """Yield batches as tables of `rows` rows; the last one may have fewer."""
    held: list[pa.RecordBatch] = []
    n = 0
    for batch in batches:
        rest = batch
        while n + rest.num_rows >= rows:
            held.append(rest.slice(0, rows - n))
            yield _frame(held)
            rest, held, n = rest.slice(rows - n), [], 0
        if rest.num_rows:
            held.append(rest)
            n += rest.num_rows
    if held:
        yield _frame(held)


def _frame(batches: list[pa.RecordBatch]) -> pd.DataFrame:
    return arrow_frame(pa.Table.from_batches(batches))


def arrow_frame(table: pa.Table) -> pd.DataFrame:
    """Return an Arrow table as a table whose whole numbers and truth values stay what they are."""
    return table.to_pandas(types_mapper=_NULLABLE.get, ignore_metadata=True)


def table_of_rows(rows: Iterable[dict[str, Any]]) -> pd.DataFrame:
    """Return events as a table, with their features as columns."""
    found = [_flat(dict(row)) for row in rows]
    return _objects(found, dict.fromkeys(name for row in found for name in row))


def _objects(rows: Sequence[dict[str, Any]], columns: Iterable[str]) -> pd.DataFrame:
    # object columns: a gap does not turn whole numbers into floats
    return pd.DataFrame({name: pd.Series([row.get(name) for row in rows], dtype=object) for name in columns})


def _jsonl(path: TableFile, rows: int, *, events: bool) -> Iterator[pd.DataFrame]:
    columns: dict[str, None] = {}
    for lines in _numbered(path, rows):
        found = [_row(path, number, line, events=events) for number, line in lines]
        for row in found:
            columns.update(dict.fromkeys(row))
        yield with_names(_objects(found, columns), path)


def _numbered(path: TableFile, size: int) -> Iterator[list[tuple[int, bytes]]]:
    """Yield the lines that are not empty, each with its number from 1."""
    with opened(path) as file:
        lines = ((number, value) for number, line in enumerate(file, 1) if (value := _line(number, line)))
        while found := list(islice(lines, size)):
            yield found


def _line(number: int, line: bytes) -> bytes:
    return (line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line).strip()


def _row(path: TableFile, number: int, line: bytes, *, events: bool) -> dict[str, Any]:
    """Return the row of a line. The features of an event become columns of their own."""
    row = json_object(path, number, line)
    if "features" in row and not events:
        raise TableError(f"{path} line {number}: an event, but the first line is a row without `features`")
    return _flat(row)


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    features = row.pop("features", None)
    if isinstance(features, dict):
        return {name: value for name, value in row.items() if name not in ENVELOPE} | features
    return row if features is None else row | {"features": features}


def json_object(path: TableFile, number: int, line: bytes) -> dict[str, Any]:
    """Return the JSON object of a line; whole numbers keep every digit. Raises TableError, which names the line.

    NaN, as Python writes it, is accepted and counts as missing.
    """
    try:
        return _OBJECT.decode(line)
    except msgspec.ValidationError:
        raise TableError(f"{path} line {number}: expected an object") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        found = _python_json(line)
        if isinstance(found, dict):
            return found
        raise TableError(f"{path} line {number}: {error}") from None


def _python_json(line: bytes) -> object:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None
