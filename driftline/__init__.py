"""Send a model's predictions and their truth to Driftline: `from driftline import Client`. Needs httpx alone."""

from __future__ import annotations

from driftline.client import Client
from driftline.losses import InvalidEvent, Loss, PredictFailed, Stats, Undelivered

__all__ = ["Client", "InvalidEvent", "Loss", "PredictFailed", "Stats", "Undelivered"]
