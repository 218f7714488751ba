"""Tables of cells from files and from pandas. No type is guessed from a file, a chunk or by pandas."""

from app.tables.columns import CellTable, column_of
from app.tables.errors import TableError
from app.tables.files import FileOptions, read_chunks, read_table

__all__ = ["CellTable", "FileOptions", "TableError", "column_of", "read_chunks", "read_table"]
