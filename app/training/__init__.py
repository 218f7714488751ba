"""From a table to a bundle: a plain scikit-learn pipeline, its hold-out, and what is needed to register it."""

from app.training.columns import TrainingError
from app.training.fitting import Plan, Trained, train
from app.training.folder import MONITORING, REFERENCE, write
from app.training.record import publish, run_of

__all__ = ["MONITORING", "REFERENCE", "Plan", "Trained", "TrainingError", "publish", "run_of", "train", "write"]
