"""Training from a table to a bundle: a plain scikit-learn pipeline, its held-out rows, and the files for
registration.
"""

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
