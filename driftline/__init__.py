"""Client for Driftline: sends a model's predictions and their ground truth. Requires httpx only.

Use `from driftline import Client`.
"""

from __future__ import annotations

from driftline.checking import CheckResult, check
from driftline.client import Client
from driftline.losses import InvalidEvent, Loss, PredictFailed, Stats, Undelivered

__all__ = ["CheckResult", "Client", "InvalidEvent", "Loss", "PredictFailed", "Stats", "Undelivered", "check"]
