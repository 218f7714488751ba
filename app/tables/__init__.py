"""Tables from files and from pandas, as cells: nothing is typed by a file's, a chunk's or pandas' guess."""

from app.tables.columns import CellTable, column_of
from app.tables.errors import TableError
from app.tables.files import FileOptions, read_chunks, read_table

__all__ = ["CellTable", "FileOptions", "TableError", "column_of", "read_chunks", "read_table"]
