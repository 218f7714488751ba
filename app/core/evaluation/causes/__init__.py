"""What has most likely been done to a column: a guess from its counts, in words, for whoever is woken by an alert."""

from app.core.evaluation.causes.clock import HOURLY, of_same_time
from app.core.evaluation.causes.guess import cause_of

__all__ = ["HOURLY", "cause_of", "of_same_time"]
