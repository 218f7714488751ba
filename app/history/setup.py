"""Construction of the history and its housekeeping from the settings."""

from __future__ import annotations

import asyncio

from app.history import History
from app.history.housekeeping import Files, Housekeeping
from app.history.retention import Limits
from app.settings.extras import needing
from app.settings.secrets import secret_of
from app.settings.settings import Settings, SettingsError

FILE = "history.db"


def history_of(settings: Settings) -> History:
    """Return the history, which connects at its first use. Raises SettingsError."""
    password = secret_of(settings, "history_password")
    url = settings.history_url
    if url is not None and not url.startswith("sqlite:"):
        with needing("postgresql", "history_url"):
            return History(url, password)
    if password is not None:
        raise SettingsError("history_password: SQLite has none; set history_url to postgresql://USER@HOST/DATABASE")
    return History(settings.state_dir / FILE if url is None else url)


def housekeeping_of(settings: Settings, history: History, stopping: asyncio.Event) -> Housekeeping:
    """Return the recorder's housekeeping, as configured in the settings."""
    limits = Limits(settings.history_days, settings.history_megabytes)
    files = None
    if settings.export_dir is not None:
        files = Files(
            settings.export_dir, settings.export_formats or ("jsonl",), settings.export_seconds, settings.export_days
        )
    return Housekeeping(history, limits, files, stopping)
