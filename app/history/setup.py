"""The history as the settings have it."""

from __future__ import annotations

import asyncio

from app.history import History
from app.history.housekeeping import Files, Housekeeping
from app.history.retention import Limits
from app.settings.secrets import secret_of
from app.settings.settings import Settings, SettingsError

FILE = "history.db"


def history_of(settings: Settings) -> History:
    """The history, which connects when it is used first. Raises SettingsError."""
    password = secret_of(settings, "history_password")
    url = settings.history_url
    if url is not None and not url.startswith("sqlite:"):
        return History(url, password)
    if password is not None:
        raise SettingsError("history_password: SQLite has none; set history_url to postgresql://USER@HOST/DATABASE")
    return History(settings.state_dir / FILE if url is None else url)


def housekeeping_of(settings: Settings, history: History, stopping: asyncio.Event) -> Housekeeping:
    """What is to be done beside recording, as the settings have it."""
    limits = Limits(settings.history_days, settings.history_megabytes)
    files = None
    if settings.export_dir is not None:
        files = Files(
            settings.export_dir, settings.export_formats or ("jsonl",), settings.export_seconds, settings.export_days
        )
    return Housekeeping(history, limits, files, stopping)
