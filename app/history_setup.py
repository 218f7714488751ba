"""The history as the settings have it."""

from __future__ import annotations

from app.history import History
from app.runtime.secrets import secret_of
from app.runtime.settings import Settings, SettingsError

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
