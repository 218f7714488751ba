"""History database of models: training runs, deployments, predictions and findings."""

from __future__ import annotations

from app.history.database import History
from app.history.errors import HistoryError, HistoryTimeout, HistoryUnavailable, NewerHistory, NoHistory

__all__ = ["History", "HistoryError", "HistoryTimeout", "HistoryUnavailable", "NewerHistory", "NoHistory"]
