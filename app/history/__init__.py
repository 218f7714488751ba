"""The history of models: what was trained, deployed, predicted and found, in a database."""

from __future__ import annotations

from app.history.database import History
from app.history.errors import HistoryError, HistoryTimeout, HistoryUnavailable, NewerHistory, NoHistory

__all__ = ["History", "HistoryError", "HistoryTimeout", "HistoryUnavailable", "NewerHistory", "NoHistory"]
