"""Insertion of rows that may exist already, with the same calls for SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Connection, Table
from sqlalchemy.dialects import postgresql, sqlite

from app.history.rows import Row

T = TypeVar("T")

TOGETHER = 1000
"""Number of values in one `IN (…)`. SQLite and PostgreSQL accept some ten thousands."""


def add(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Insert rows. A row whose key exists already is not changed."""
    if rows:
        connection.execute(insertion(connection, table).on_conflict_do_nothing(), rows)


def put(
    connection: Connection, table: Table, rows: Sequence[Row], changes: Mapping[str, ColumnElement[Any]] | None = None
) -> None:
    """Insert rows, or update those whose key exists: all other columns, or only `changes`."""
    if not rows:
        return
    insert = insertion(connection, table)
    keys = [column.name for column in table.primary_key]
    new = {column.name: insert.excluded[column.name] for column in table.columns if column.name not in keys}
    connection.execute(
        insert.on_conflict_do_update(index_elements=keys, set_=dict(new if changes is None else changes)), rows
    )


def parts(values: Iterable[T]) -> Iterator[list[T]]:
    """Yield the values in lists of the size that one statement takes."""
    rest = iter(values)
    while part := list(islice(rest, TOGETHER)):
        yield part


def insertion(connection: Connection, table: Table) -> postgresql.Insert | sqlite.Insert:
    """Return an insert statement for the database's dialect, which can handle an existing key."""
    return postgresql.insert(table) if connection.dialect.name == "postgresql" else sqlite.insert(table)
