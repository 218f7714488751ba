"""Of the answers to one request id the first holds, and what is no answer is let pass."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec

from app.serving.answers_table import ServedAnswersTable
from app.settings.settings import load_settings
from topics.events import ServedEvent

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def answer(name: str, prediction: float, when: datetime = NOW) -> bytes:
    return msgspec.json.encode(ServedEvent(
        prediction_id=name, model="m", model_version="1", timestamp=when,
        prediction=prediction, prediction_label="", probability=None, features_digest="d",
    ))  # fmt: skip


def test_the_first_answer_holds_and_the_oldest_are_forgotten() -> None:
    view = ServedAnswersTable(load_settings(), most=2, now=NOW.timestamp)
    for offset, value in enumerate((answer("a", 1), answer("a", 2), b"{", None, answer("b", 3))):
        view._take(b"", value, offset)
    first, other = view.get("m", "a"), view.get("m", "b")
    assert first is not None
    assert other is not None
    assert (first.prediction, other.prediction) == (1, 3)
    view._apply(b"", answer("c", 4), 5)
    assert view.get("m", "a") is None
    assert view.get("m", "c") is not None


def test_an_answer_is_kept_as_long_as_the_topic_keeps_it() -> None:
    now = [0.0]
    view = ServedAnswersTable(load_settings(), now=lambda: now[0])
    for days, name in enumerate("abcd"):
        now[0] = (NOW + timedelta(days=days)).timestamp()
        view._apply(b"", answer(name, 1, NOW + timedelta(days=days)), days)
    assert [name for name in "abcd" if view.get("m", name) is not None] == ["b", "c", "d"]
