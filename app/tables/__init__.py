"""Tables of cells from files and from pandas. No type is guessed from a file, a chunk or by pandas."""

from app.tables.columns import CellTable, column_of
from app.tables.errors import TableError
from app.tables.files import FileOptions, read_chunks, read_table
from app.tables.in_memory import TableBytes, TableFile

__all__ = [
    "CellTable",
    "FileOptions",
    "TableBytes",
    "TableError",
    "TableFile",
    "column_of",
    "read_chunks",
    "read_table",
]
