"""Migration of a database's tables to the current revision, in the transaction of a connection."""

from __future__ import annotations

import logging
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Connection

from app.history.errors import NewerHistory

MIGRATIONS = Path(__file__).parent / "migrations"


def migrate(connection: Connection) -> None:
    """Run every migration step that the database has not had.

    Raises NewerHistory where the database has had a step that is not known.
    """
    logging.getLogger("alembic").setLevel(logging.WARNING)
    try:
        command.upgrade(config_of(connection), "head")
    except CommandError as error:
        raise NewerHistory(f"the history was written by another version of Driftline ({error}): use that one") from None


def config_of(connection: Connection) -> Config:
    """Return Alembic's configuration with our steps and the given connection."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config
