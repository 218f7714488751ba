"""Retraining signals of model versions: when they are raised, how often, and which hooks receive them."""

from app.retraining.hook import Hook, HookFailed, hooks_of
from app.retraining.publish import publish
from app.retraining.signal import REASONS, of_alert, of_check
from app.retraining.signals_table import SignalsTable

__all__ = ["REASONS", "Hook", "HookFailed", "SignalsTable", "hooks_of", "of_alert", "of_check", "publish"]
