"""Rows into tables, where some may be there already; the same words for SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Connection, Table
from sqlalchemy.dialects import postgresql, sqlite

from app.history.rows import Row

T = TypeVar("T")

TOGETHER = 1000
"""Values in one `IN (…)`: SQLite and PostgreSQL take some ten thousands."""


def add(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Insert rows; those whose key is there stay as they are."""
    if rows:
        connection.execute(insertion(connection, table).on_conflict_do_nothing(), rows)


def put(
    connection: Connection, table: Table, rows: Sequence[Row], changes: Mapping[str, ColumnElement[Any]] | None = None
) -> None:
    """Insert rows, or update those whose key is there: all else, or as `changes` has it."""
    if not rows:
        return
    insert = insertion(connection, table)
    keys = [column.name for column in table.primary_key]
    new = {column.name: insert.excluded[column.name] for column in table.columns if column.name not in keys}
    connection.execute(
        insert.on_conflict_do_update(index_elements=keys, set_=dict(new if changes is None else changes)), rows
    )


def parts(values: Iterable[T]) -> Iterator[list[T]]:
    """The values, so many at a time as one statement takes."""
    rest = iter(values)
    while part := list(islice(rest, TOGETHER)):
        yield part


def insertion(connection: Connection, table: Table) -> postgresql.Insert | sqlite.Insert:
    """Return an insert that can say what happens where a key is there."""
    return postgresql.insert(table) if connection.dialect.name == "postgresql" else sqlite.insert(table)
