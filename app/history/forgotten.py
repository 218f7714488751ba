"""Forgotten ids and values, of which later records are dropped.

They are stored as salted hashes, so that the list itself names no person.
"""

from __future__ import annotations

import hashlib
import secrets
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec
from sqlalchemy import Connection, delete, select

from app.core.values.reading import spelled
from app.history.inserting import add, parts
from app.history.rows import Row
from app.history.tables import FORGOTTEN, WAITING_FEEDBACK

ID = ""
"""Name under which ids are forgotten."""

_cells = msgspec.json.Decoder(dict[str, str | int | float | bool | None])


def text_of(value: str | float | bool) -> str:
    """Return the normalized spelling of a value, by which values are compared."""
    return unicodedata.normalize("NFC", value) if isinstance(value, str) else spelled(value)


def has(row: Mapping[str, object], name: str, texts: Iterable[str]) -> bool:
    """Return whether a prediction's row has one of these values as the feature or metadata of this name."""
    wanted = set(texts)
    for column in ("features", "metadata"):
        given = row[column]
        if given is not None:
            value = _cells.decode(str(given)).get(name)
            if value is not None and text_of(value) in wanted:
                return True
    return False


@dataclass(frozen=True)
class Forgotten:
    """Hashes of what is forgotten, by the name of the column; ids are under ID."""

    salt: str
    digests: Mapping[str, frozenset[str]]

    def digest(self, name: str, text: str) -> str:
        """Return the hash that is stored for a value."""
        return hashlib.sha256(f"{self.salt}\0{name}\0{text}".encode("utf-8", "surrogatepass")).hexdigest()

    def has_id(self, prediction_id: object) -> bool:
        """Return whether an id is forgotten."""
        return self.digest(ID, str(prediction_id)) in self.digests.get(ID, ())

    def has_value(self, row: Mapping[str, object]) -> bool:
        """Return whether a prediction's row has a forgotten value."""
        for name, digests in self.digests.items():
            if name == ID:
                continue
            for column in ("features", "metadata"):
                given = row[column]
                value = None if given is None else _cells.decode(str(given)).get(name)
                if value is not None and self.digest(name, text_of(value)) in digests:
                    return True
        return False


def forgotten_of(connection: Connection) -> Forgotten:
    """Return the forgotten ids and values that the history has stored."""
    found: dict[str, set[str]] = {}
    salt = ""
    for row in connection.execute(select(FORGOTTEN)):
        found.setdefault(row.name, set()).add(row.digest)
        salt = row.salt
    return Forgotten(salt or secrets.token_hex(16), {name: frozenset(digests) for name, digests in found.items()})


def keep_forgotten(
    connection: Connection, known: Forgotten, values: Iterable[tuple[str, str]], at: datetime
) -> Forgotten:
    """Store (name, text) values as forgotten. Return everything that is forgotten then."""
    rows: list[Row] = [
        {"name": name, "digest": known.digest(name, text), "salt": known.salt, "forgotten_at": at}
        for name, text in values
    ]
    add(connection, FORGOTTEN, rows)
    return forgotten_of(connection) if rows else known


def predictions_left(
    connection: Connection, known: Forgotten, rows: Sequence[Row], at: datetime
) -> tuple[list[Row], Forgotten]:
    """Return the predictions that are kept, and what is forgotten then.

    The id of a dropped prediction is forgotten too, with its feedback.
    """
    if not known.digests:
        return list(rows), known
    left: list[Row] = []
    gone: list[Row] = []
    for row in rows:
        (gone if known.has_id(row["prediction_id"]) or known.has_value(row) else left).append(row)
    ids = [str(row["prediction_id"]) for row in gone]
    known = keep_forgotten(connection, known, [(ID, id_) for id_ in ids], at)
    for some in parts(ids):
        connection.execute(delete(WAITING_FEEDBACK).where(WAITING_FEEDBACK.c.prediction_id.in_(some)))
    return left, known


def feedback_left(known: Forgotten, rows: Sequence[Row]) -> list[Row]:
    """Return the feedback whose id is not forgotten."""
    return [row for row in rows if not known.has_id(row["prediction_id"])] if ID in known.digests else list(rows)
