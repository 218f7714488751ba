"""Form of a CSV file (encoding, separator, decimal mark, header), detected or given."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import re
from dataclasses import dataclass
from typing import BinaryIO, cast

from app.tables.errors import TableError
from app.tables.in_memory import TableBytes, TableFile

SAMPLE = 256 * 1024
"""Bytes of a file from which its form is detected."""
SAMPLE_ROWS = 200
SEPARATORS = (",", ";", "\t", "|")
UNFIT = '"\r\n\0'
"""Characters that never separate columns."""
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_COMMA = re.compile(r"[+-]?(?:[0-9]{1,3}(?:\.[0-9]{3})+|[0-9]+),[0-9]+")
_POINT = re.compile(r"[+-]?[0-9]+\.[0-9]+")
NAMES = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}


@dataclass(frozen=True, slots=True)
class CsvForm:
    """Form of a CSV file. `header_lines`: the number of lines of the header, including blank lines before it."""

    encoding: str
    separator: str
    decimal: str
    names: tuple[str, ...]
    header_lines: int


def opened(path: TableFile) -> BinaryIO:
    """Open a file for reading bytes; decompress a file whose name ends in .gz."""
    if isinstance(path, TableBytes):
        return cast("BinaryIO", gzip.open(path.open())) if path.name.lower().endswith(".gz") else path.open()
    return cast("BinaryIO", gzip.open(path, "rb")) if path.suffix.lower() == ".gz" else path.open("rb")


def form_of(
    path: TableFile, encoding: str | None = None, separator: str | None = None, decimal: str | None = None
) -> CsvForm:
    """Return the form of a CSV file. Arguments that are given are used as they are, the others are detected.

    Raises TableError where the file is empty, cannot be decoded, or names a column twice.
    """
    with opened(path) as file:
        raw = file.read(SAMPLE)
    encoding = _encoding(raw, encoding)
    text = _text(path, raw, encoding)
    if len(raw) == SAMPLE:  # the last line may be cut off
        text = text[: text.rfind("\n") + 1] or text
    if not text.strip():
        raise TableError(f"{path}: No columns to parse from file: it is empty")
    if separator is not None and (not separator.isascii() or separator in UNFIT):
        raise TableError(f"--separator: must be a character of ASCII, no quote and no line break, not {separator!r}")
    separator = _separator(text) if separator is None else separator
    rows = _rows(text, separator)
    names, lines = _header(path, text, separator)
    return CsvForm(encoding, separator, _decimal(rows, separator) if decimal is None else decimal, names, lines)


def _encoding(raw: bytes, given: str | None) -> str:
    if given is not None:
        try:
            found = codecs.lookup(given)
        except (LookupError, ValueError):
            found = None
        if found is None or not getattr(found, "_is_text_encoding", True):  # base64 and the like are codecs, too
            raise TableError(f"--encoding: {given!r} is not known; give utf-8, utf-16, latin-1 or cp1252, say")
        return found.name
    for mark, name in _MARKS:
        if raw.startswith(mark):
            return name
    if raw[1::2].count(0) > len(raw) / 4:
        return "utf-16-le"
    return "utf-16-be" if raw[::2].count(0) > len(raw) / 4 else "utf-8"


def _text(path: TableFile, raw: bytes, encoding: str) -> str:
    decoder = codecs.getincrementaldecoder("utf-8-sig" if encoding == "utf-8" else encoding)()
    try:
        return decoder.decode(raw, final=len(raw) < SAMPLE)
    except UnicodeError as error:
        raise undecodable(path, encoding, error) from None


def undecodable(path: TableFile, encoding: str, error: Exception) -> TableError:
    """Return the error for a file that is in another encoding."""
    return TableError(f"{path}: it does not decode as {encoding} ({error}): give its encoding, --encoding cp1252, say")


def _rows(text: str, separator: str) -> list[list[str]]:
    rows: list[list[str]] = []
    reader = csv.reader(io.StringIO(text), delimiter=separator)
    try:
        for row in reader:
            if row:
                rows.append(row)
            if len(rows) > SAMPLE_ROWS:
                break
    except csv.Error:
        return rows
    return rows


def _separator(text: str) -> str:
    """Return the separator that gives all rows of the sample the same number of columns, and the largest one."""
    best, most = ",", 1
    for separator in SEPARATORS:
        widths = {len(row) for row in _rows(text, separator)}
        if len(widths) == 1 and (width := widths.pop()) > most:
            best, most = separator, width
    return best


def _header(path: TableFile, text: str, separator: str) -> tuple[tuple[str, ...], int]:
    reader = csv.reader(io.StringIO(text), delimiter=separator)
    try:
        header = next(row for row in reader if row)
    except (StopIteration, csv.Error) as error:
        raise TableError(f"{path}: No columns to parse from file: {error}") from None
    names = [name if name.strip() else f"Unnamed: {i}" for i, name in enumerate(header)]
    twice = next((name for i, name in enumerate(names) if name in names[:i]), None)
    if twice is not None:
        raise TableError(f"{path}: column {twice!r} stands there twice: give each column a name of its own")
    return tuple(names), reader.line_num


def _decimal(rows: list[list[str]], separator: str) -> str:
    """Return the decimal mark of the cells.

    The mark is a comma where more cells are numbers with a comma than with a point.
    """
    if separator == ",":
        return "."
    cells = [cell.strip() for row in rows[1:] for cell in row]
    commas = sum(_COMMA.fullmatch(cell) is not None for cell in cells)
    return "," if commas > sum(_POINT.fullmatch(cell) is not None for cell in cells) else "."


def odd_line(path: TableFile, form: CsvForm) -> str:
    """Return which line has another number of fields than the header, as text; empty where none has."""
    with opened(path) as raw, io.TextIOWrapper(raw, encoding=form.encoding, newline="") as file:
        reader = csv.reader(file, delimiter=form.separator)
        try:
            for row in reader:
                if row and len(row) != len(form.names):
                    return f"Expected {len(form.names)} fields in line {reader.line_num}, saw {len(row)}"
        except csv.Error as error:
            return f"line {reader.line_num}: {error}"
    return ""
