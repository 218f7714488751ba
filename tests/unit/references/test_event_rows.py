"""Rows collected from events, against a plain recount."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from app.core.config.monitoring import DefaultTruth, Monitoring, PerformanceThresholds, Windows
from app.core.values.hiding import Hiding
from app.ingest.predictions import Head
from app.references.default_truth import with_default_truth
from app.references.event_rows import EventRows, ReceivedFeedback, ReceivedPrediction
from app.registration.hiding import hidden_table
from topics.events import FeedbackEvent

AT = 1_780_000_000.0
events = st.tuples(st.integers(0, 8), st.integers(0, 9), st.sampled_from(["3", "3", "3", "2"]))
"""Id, seconds, version."""


def head(id_: int, seconds: float, version: str = "3", value: int = 0) -> ReceivedPrediction:
    features = msgspec.Raw(msgspec.json.encode({"x": value}))
    return ReceivedPrediction(Head(f"p{id_}", "churn", version, AT + seconds, features, prediction=value), AT + seconds)


@given(st.lists(events, min_size=1, max_size=30), st.integers(0, 30), st.none() | st.integers(1, 9), st.data())
def test_rows_are_those_of_a_recount(
    sent: list[tuple[int, int, str]], cut: int, most: int | None, data: st.DataObject
) -> None:
    # an id has one time, as a producer that repeats itself sends it; the value shows which record has counted
    heads = [head(id_, id_ * 3 % 7, version, value) for value, (id_, _, version) in enumerate(sent)]
    rows, older = EventRows("churn", "3", most=most, ahead=60.0), EventRows("churn", "3", most=most, ahead=60.0)
    for start in range(cut, len(heads), 4):
        rows.add_predictions(heads[start : start + 4])
    older.add_predictions(heads[:cut])
    rows.add_older(older)
    truths = data.draw(st.lists(st.tuples(st.integers(0, 8), st.sampled_from([None, "churn", "fraud"]))))
    rows.add_feedback(
        ReceivedFeedback(FeedbackEvent(prediction_id=f"p{id_}", actual=n, model=model), AT)
        for n, (id_, model) in enumerate(truths)
    )
    first: dict[int, int] = {}
    for value, (id_, _, version) in enumerate(sent):
        if version == "3":
            first.setdefault(id_, value)
    newest = sorted(first, key=lambda id_: (id_ * 3 % 7, f"p{id_}"))[-(most or len(first)) :] if first else []
    last = {id_: n for n, (id_, model) in enumerate(truths) if model != "fraud"}
    assert rows.other_versions == ({"2"} if any(version == "2" for *_, version in sent) else set())
    assert bool(rows) is bool(newest)
    if newest:
        table = rows.table()
        assert table["prediction_id"].tolist() == [f"p{id_}" for id_ in newest]
        assert table["x"].tolist() == [first[id_] for id_ in newest]
        actual = table["actual"] if "actual" in table else pd.Series([None] * len(newest))
        assert [None if pd.isna(one) else one for one in actual] == [last.get(id_) for id_ in newest]


@given(st.lists(st.integers(0, 5), min_size=1, max_size=20), st.integers(1, 20), st.integers(1, 7))
def test_the_first_rows_are_those_that_came_first(arrivals: list[int], most: int, at_once: int) -> None:
    heads = [head(i, -i)._replace(at=AT + at) for i, at in enumerate(arrivals)]  # their own times are the other way
    rows = EventRows("churn", "3", most=most, first=True, ahead=60.0)
    for start in range(0, len(heads), at_once):
        rows.add_predictions(heads[start : start + at_once])
    chosen = sorted(range(len(heads)), key=lambda i: (arrivals[i], f"p{i}"))[:most]
    assert rows.table()["prediction_id"].tolist() == [f"p{i}" for i in sorted(chosen, reverse=True)]


def test_what_the_stream_would_not_count_is_left_out_and_counted() -> None:
    rows = EventRows(
        "churn", "3", ahead=60.0,
        since=datetime.fromtimestamp(AT + 1, UTC), until=datetime.fromtimestamp(AT + 3, UTC),
    )  # fmt: skip
    nested = msgspec.structs.replace(head(7, 2).event, features=msgspec.Raw(b'{"x": {"y": 1}}'))
    rows.add_predictions([
        *(head(i, i) for i in range(5)),
        ReceivedPrediction(head(8, 2).event, AT - 59.0),  # 61 s ahead of the broker
        ReceivedPrediction(msgspec.structs.replace(head(9, 2).event, timestamp=1.8e12), AT),
        ReceivedPrediction(nested, AT + 2),
    ])  # fmt: skip
    assert rows.table()["prediction_id"].tolist() == ["p1", "p2"]
    assert rows.rejected == 3


def test_silence_is_a_truth_once_it_has_waited_and_no_truth_is_one_before() -> None:
    frame = pd.DataFrame({
        "timestamp": [datetime.fromtimestamp(AT + 20.0 * i, UTC).isoformat() for i in range(10)],
        "actual": [None, True, None, None, None, None, True, None, None, True],
    })  # fmt: skip
    silence = PerformanceThresholds(default_truth=DefaultTruth(False, 100.0))
    found, note = with_default_truth(frame, Monitoring(windows=Windows(pane=10.0), performance=silence))
    # the newest row is at 180 s; a pane of 10 s must have ended by 80 s
    assert [None if pd.isna(one) else one for one in found["actual"]] == [False, True, False, False, *[None] * 6]
    assert "3 of 10 rows have it, and 6 are too young" in note
    found, _ = with_default_truth(frame[5:], Monitoring(windows=Windows(pane=10.0), performance=silence))
    assert "actual" not in found
    same, note = with_default_truth(frame, Monitoring())
    assert (same is frame, note) == (True, "")


def test_values_that_are_hashed_already_stay() -> None:
    hiding = Hiding(frozenset({"name"}), frozenset({"town"}), b"0123456789abcdef")
    frame = pd.DataFrame({"name": ["a", "b", "c"], "town": ["Oulu", None, "h123"], "age": [1, 2, 3]})
    once = hidden_table(frame, hiding)
    assert once["town"].tolist()[0] == hiding.value("Oulu")
    assert once["town"].tolist()[2] == hiding.value("h123")
    pd.testing.assert_frame_equal(hidden_table(once, hiding), once)
