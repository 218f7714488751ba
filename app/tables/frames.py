"""Tables in memory as pandas tables: pandas, Arrow, and the dataframe interchange protocol."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow as pa
from pyarrow.interchange import from_dataframe

from app.tables.errors import TableError
from app.tables.files import arrow_frame, read_table, with_names


def table_of(data: object, name: str) -> pd.DataFrame:
    """Return a table in memory, or in a file, as a pandas table. The given table is not changed.

    `name`: what the table is called in errors. Raises TableError, and OSError where a file cannot be opened.
    """
    if isinstance(data, str | Path):
        return read_table(Path(data))
    frame = with_names(_frame(data, name), name)
    if frame.empty:
        raise TableError(f"{name}: the table has no rows")
    return frame


def _frame(data: object, name: str) -> pd.DataFrame:
    if isinstance(data, pd.DataFrame):
        return data.reset_index(drop=True)  # a copy: names of columns are changed
    try:
        if hasattr(data, "__arrow_c_stream__"):
            return arrow_frame(pa.table(data))
        if hasattr(data, "__dataframe__"):
            return arrow_frame(from_dataframe(data))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, NotImplementedError) as error:
        raise TableError(f"{name}: cannot be read as a table: {' '.join(str(error).split())}") from None
    raise TableError(f"{name}: must be a table (pandas, polars, Arrow) or a file's path, not {type(data).__name__}")
