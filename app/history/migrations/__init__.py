"""How the history's tables came to be (Alembic)."""
