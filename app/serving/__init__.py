"""Model bundles and their predictions."""

from app.serving.bundle import Bundle, BundleError, Training, save_bundle
from app.serving.loading import load_bundle
from app.serving.predict import Predicted, PredictionFailed, Unfit, UnfitRows, predict

__all__ = [
    "Bundle",
    "BundleError",
    "Predicted",
    "PredictionFailed",
    "Training",
    "Unfit",
    "UnfitRows",
    "load_bundle",
    "predict",
    "save_bundle",
]
