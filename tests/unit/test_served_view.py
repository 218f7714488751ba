"""Of the answers to one request id the first holds, and what is no answer is let pass."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from app.runtime.served_view import ServedView
from app.runtime.settings import load_settings
from topics.events import ServedEvent


def answer(name: str, prediction: float) -> bytes:
    return msgspec.json.encode(ServedEvent(
        prediction_id=name, model="m", model_version="1", timestamp=datetime(2026, 1, 1, tzinfo=UTC),
        prediction=prediction, prediction_label="", probability=None, features_digest="d",
    ))  # fmt: skip


def test_the_first_answer_holds_and_the_oldest_are_forgotten() -> None:
    view = ServedView(load_settings(), most=2)
    for offset, value in enumerate((answer("a", 1), answer("a", 2), b"{", None, answer("b", 3))):
        view._take(b"", value, offset)
    first, other = view.get("a"), view.get("b")
    assert first is not None
    assert other is not None
    assert (first.prediction, other.prediction) == (1, 3)
    view._apply(b"", answer("c", 4), 5)
    assert view.get("a") is None
    assert view.get("c") is not None
