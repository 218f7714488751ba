"""Content of notifications: text, rows, pictures and templates."""
