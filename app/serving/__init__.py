"""The model bundle and its prediction."""

from app.serving.bundle import Bundle, BundleError, Training, load_bundle, save_bundle
from app.serving.predict import MissingFeatures, Predicted, PredictionFailed, WrongTypes, predict

__all__ = [
    "Bundle",
    "BundleError",
    "MissingFeatures",
    "Predicted",
    "PredictionFailed",
    "Training",
    "WrongTypes",
    "load_bundle",
    "predict",
    "save_bundle",
]
