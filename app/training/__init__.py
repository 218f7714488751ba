"""From a table to a bundle: a plain scikit-learn pipeline, its hold-out, and what is needed to register it."""

from app.training.columns import TrainingError
from app.training.fitting import TrainedModel, TrainingPlan, train
from app.training.folder import MONITORING, REFERENCE, write
from app.training.record import publish, run_of

__all__ = [
    "MONITORING",
    "REFERENCE",
    "TrainedModel",
    "TrainingError",
    "TrainingPlan",
    "publish",
    "run_of",
    "train",
    "write",
]
