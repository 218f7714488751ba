"""Validation of events: the single check of ids, names, times, labels and probabilities at every entry point.

Readers are the join, the pairing of inferences and the history, whose database accepts no NUL character in a text.
Each function returns what is wrong, the field first, or an empty text.
"""

from __future__ import annotations

import unicodedata

from app.core.values.reading import spelled
from app.core.values.times import believable

LONGEST_NAME = 200
"""Maximum characters of an id, of a model and of a version, in Unicode NFC."""
TIMESTAMP = "timestamp: must be RFC 3339 or seconds since the epoch, from 1970 to 2100 (milliseconds?)"
NUL = "\x00"

Label = str | int | float | bool
Probability = float | dict[str, float]


def id_of(given: str | float) -> str:
    """Return an id in its only spelling: 7 and 7.0 are `7`, texts are Unicode NFC."""
    return unicodedata.normalize("NFC", given) if isinstance(given, str) else spelled(given)


def wrong_prediction(
    prediction_id: str,
    model: str,
    version: str,
    seconds: float | None,
    prediction: Label | None,
    probability: Probability | None,
) -> str:
    """Return what is wrong with a prediction. `seconds`: its time since the epoch, None where it is set on receipt."""
    return (
        wrong_name("prediction_id", prediction_id)
        or wrong_name("model", model)
        or wrong_name("model_version", version)
        or wrong_time(seconds)
        or wrong_label("prediction", prediction)
        or wrong_probability(probability)
    )


def wrong_feedback(prediction_id: str, seconds: float | None, actual: Label, model: str | None = None) -> str:
    """Return what is wrong with feedback. `seconds`: as of a prediction; `model`: the model that it is limited to."""
    return (
        wrong_name("prediction_id", prediction_id)
        or wrong_time(seconds)
        or wrong_label("actual", actual)
        or ("" if model is None else wrong_name("model", model))
    )


def wrong_name(field: str, name: str) -> str:
    """Return what is wrong with an id, a model or a version, in the form that will be sent."""
    if not 0 < len(name) <= LONGEST_NAME:
        return f"{field}: must have 1 to {LONGEST_NAME} characters (in Unicode NFC; a number in digits)"
    return wrong_text(field, name)


def wrong_label(field: str, label: Label | None) -> str:
    """Return what is wrong with a prediction or its truth."""
    return wrong_text(field, label) if isinstance(label, str) else ""


def wrong_text(field: str, text: str) -> str:
    """Return what is wrong with a text that a database will store."""
    return f"{field}: may not have a NUL character in it" if NUL in text else ""


def wrong_time(seconds: float | None) -> str:
    """Return why a time is not believed; empty where it is."""
    return "" if seconds is None or believable(seconds) else TIMESTAMP


def wrong_probability(probability: Probability | None) -> str:
    """Return which probability is invalid, by its class where each has one."""
    if probability is None:
        return ""
    given = probability if isinstance(probability, dict) else {"": probability}
    for label, value in given.items():
        if not 0.0 <= value <= 1.0:
            return f"probability{'.' if label else ''}{label}: must be from 0 to 1"
    return ""
