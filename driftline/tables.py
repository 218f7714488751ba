"""Tables as files that can be sent. No table library is imported that the caller has not imported."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from driftline.encoding import encoded_row
from driftline.losses import InvalidEvent


class TableFile(NamedTuple):
    """File of a table: its name, whose ending gives the format, and its content."""

    name: str
    content: bytes


def file_of(table: object) -> TableFile:
    """Return a table as a file: as Parquet, or as JSONL where Parquet has no type for a column.

    Takes the path of a file, frames of pandas and Polars, and with PyArrow anything with `__arrow_c_stream__` or
    `__dataframe__`. Raises OSError, TypeError for anything else, and ValueError that names the column.
    """
    if isinstance(table, str | Path):
        return TableFile(Path(table).name, Path(table).read_bytes())
    pandas, polars = sys.modules.get("pandas"), sys.modules.get("polars")
    if pandas is not None and isinstance(table, pandas.DataFrame):
        return _pandas_file(table)
    if polars is not None and isinstance(table, polars.DataFrame):
        written = io.BytesIO()
        table.write_parquet(written)
        return TableFile("reference.parquet", written.getvalue())
    if hasattr(table, "__arrow_c_stream__") or hasattr(table, "__dataframe__"):
        import pyarrow as pa
        from pyarrow.interchange import from_dataframe

        try:
            return _parquet(pa.table(table) if hasattr(table, "__arrow_c_stream__") else from_dataframe(table))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, NotImplementedError) as error:
            raise ValueError(f"reference: cannot be read as a table: {' '.join(str(error).split())}") from None
    raise TypeError(f"reference: must be a table (pandas, Polars, Arrow) or a file's path, not {type(table).__name__}")


def _pandas_file(frame: Any) -> TableFile:
    frame = frame.set_axis(frame.columns.map(str), axis=1)
    twice = frame.columns[frame.columns.duplicated()]
    if len(twice):
        raise ValueError(f"reference: column {twice[0]!r} stands there twice: give each column a name of its own")
    try:
        import pyarrow as pa

        try:
            return _parquet(pa.Table.from_pandas(frame, preserve_index=False))
        except (pa.ArrowException, OverflowError):  # values of several types in a column
            pass
    except ImportError:
        pass
    return TableFile("reference.jsonl", b"\n".join(_lines(frame)))


def _parquet(table: Any) -> TableFile:
    from pyarrow import parquet

    written = io.BytesIO()
    parquet.write_table(table.replace_schema_metadata(None), written)
    return TableFile("reference.parquet", written.getvalue())


def _lines(frame: Any) -> Iterator[bytes]:
    for number, row in enumerate(frame.itertuples(index=False, name=None), 1):
        try:
            yield encoded_row(dict(zip(frame.columns, row, strict=True)))
        except InvalidEvent as error:
            raise ValueError(f"reference: row {number}, {error}") from None
