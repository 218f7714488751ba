"""Alembic environment. It runs the steps on the connection and in the transaction of `app.history.migrating`."""

from __future__ import annotations

from alembic import context

from app.history.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, transactional_ddl=True)
context.run_migrations()
