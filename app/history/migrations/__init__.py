"""Migrations of the history's tables (Alembic)."""
