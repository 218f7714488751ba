"""Likely causes of a column's change, guessed from its counts, as text for the readers of an alert."""

from app.core.evaluation.causes.clock import HOURLY, of_same_time
from app.core.evaluation.causes.guess import cause_of

__all__ = ["HOURLY", "cause_of", "of_same_time"]
