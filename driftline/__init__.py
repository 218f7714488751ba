"""Client for Driftline: sends a model's predictions and their ground truth. Requires httpx only.

Use `from driftline import Client`.
"""

from __future__ import annotations

from driftline.checking import CheckResult, check
from driftline.client import Client
from driftline.decorator import log_predictions
from driftline.losses import InvalidEvent, Loss, PredictFailed, RegisterFailed, Stats, Undelivered
from driftline.middleware import PredictionMiddleware
from driftline.registering import RegisterResult, register

__all__ = [
    "CheckResult",
    "Client",
    "InvalidEvent",
    "Loss",
    "PredictFailed",
    "PredictionMiddleware",
    "RegisterFailed",
    "RegisterResult",
    "Stats",
    "Undelivered",
    "check",
    "log_predictions",
    "register",
]
