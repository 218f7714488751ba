"""Mapping of records to events, by the shapes in which they are found."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.values.accepted import wrong_prediction
from app.sources.mapping import SourceMapper
from tests.support.source_records import declared, json_records, mapped
from topics.events import FeedbackEvent, PredictionEvent

AT = 1_780_000_000.0
SOUND = {"id": "a1", "time": AT, "features": {"age": 31}}


def test_a_nested_record_with_lists_and_milliseconds() -> None:
    run = mapped(
        [{"event": {"id": 17, "ts": "1780000000123", "model": {"name": "churn", "v": 3}},
          "payload": {"rows": [[31, "DE", None]], "scores": [0.25, 0.75]}}],
        id="event.id", time="event.ts", time_unit="ms", model="event.model.name", version="event.model.v",
        features={"list": "payload.rows[0]", "names": ["age", "country", "income"]},
        prediction="payload.scores[1] > `0.5`", probability="payload.scores[1]",
    )  # fmt: skip
    assert not run.rejected
    assert run.predictions == [
        PredictionEvent(
            prediction_id="17", model="churn", model_version="3", timestamp=1_780_000_000.123,
            features={"age": 31, "country": "DE", "income": None}, prediction=True, probability=0.75,
        )
    ]  # fmt: skip


def test_a_debezium_envelope_with_its_deletes_left_out() -> None:
    row = {"id": 5, "scored_at": 1_780_000_000_000_000, "age": 31, "label": "no", "truth": None}
    envelopes = [
        {"payload": {"op": "d", "before": row, "after": None}},
        {"payload": {"op": "c", "before": None, "after": row}},
        {"payload": {"op": "u", "before": row, "after": {**row, "truth": "yes"}}},
    ]
    run = mapped(
        envelopes, "both", where="payload.after", id="payload.after.id", time="payload.after.scored_at",
        time_unit="us", features={"object": "payload.after", "without": ["id", "scored_at", "label", "truth", "other"]},
        prediction="payload.after.label", truth="payload.after.truth",
    )  # fmt: skip
    assert (run.filtered, run.rejected) == ([0], [])
    assert [event.features for event in run.predictions] == [{"age": 31}] * 2
    assert run.predictions_at == [1, 2]
    assert (run.feedback_at, run.feedback) == (
        [2], [FeedbackEvent(prediction_id="5", actual="yes", timestamp=AT, model="churn")],
    )  # fmt: skip


def test_a_cloud_event_and_kserves_logger() -> None:
    cloud_event = {
        "specversion": "1.0", "type": "org.example.scored", "id": "e-1", "time": "2026-05-28T20:26:40.5+02:00",
        "data": {"instances": [{"age": 31, "plan": "basic"}], "predictions": [{"label": "no", "p": "0.25"}]},
    }  # fmt: skip
    run = mapped(
        [cloud_event, {**cloud_event, "type": "org.example.other"}], where="type == 'org.example.scored'",
        features="data.instances[0]", prediction="data.predictions[0].label", probability="data.predictions[0].p",
    )  # fmt: skip
    (event,) = run.predictions
    assert (event.prediction_id, event.features, event.prediction) == ("e-1", {"age": 31, "plan": "basic"}, "no")
    assert event.probability == 0.25
    assert event.timestamp == datetime(2026, 5, 28, 18, 26, 40, 500_000, tzinfo=UTC).timestamp()
    assert run.filtered == [1]


def test_probabilities_by_class_out_of_a_list() -> None:
    run = mapped([{**SOUND, "p": [0.1, 0.9]}], probability="{no: p[0], yes: p[1]}")
    assert run.predictions[0].probability == {"no": 0.1, "yes": 0.9}


def test_a_source_of_feedback_needs_no_model_and_may_name_one() -> None:
    (event,) = mapped([{"id": 7.0, "time": AT, "truth": 0}], "feedback").feedback
    assert event == FeedbackEvent(prediction_id="7", actual=0, timestamp=AT)
    (event,) = mapped([{"id": 7.0, "time": AT, "truth": 0, "m": "churn"}], "feedback", model="m").feedback
    assert event.model == "churn"


def test_without_a_path_to_a_time_it_is_that_of_kafkas_record() -> None:
    assert mapped([SOUND], time=None).predictions[0].timestamp == AT


def test_values_that_are_no_json_become_it() -> None:
    """Avro has decimals, dates and bytes."""
    document = {
        "id": Decimal(17), "time": datetime(2026, 5, 28, 20, 26, 40),  # noqa: DTZ001 - Avro's local-timestamp

        "features": {"amount": Decimal("12.50"), "n": Decimal(3), "day": datetime(2026, 5, 28, tzinfo=UTC).date(),
                     "code": b"xy", "none": Decimal("NaN"), "huge": Decimal("1e5000")},
    }  # fmt: skip
    source = declared(time_zone="UTC")
    (event,) = SourceMapper(source).map(json_records([{}]), [document]).predictions
    assert (event.prediction_id, event.timestamp) == ("17", AT)
    assert event.features == {"amount": 12.5, "n": 3, "day": "2026-05-28", "code": "xy", "none": None, "huge": math.inf}
    assert b'"huge":null' in msgspec.json.encode(event)


@pytest.mark.parametrize(
    ("changed", "mapping", "reason"),
    [
        ({"id": None}, {}, "id: nothing at id"),
        ({"id": {}}, {}, "id: must be text or a number, not an object, at id"),
        ({"id": True}, {}, "id: must be text or a number, not true or false, at id"),
        ({"id": ""}, {}, "id: must have 1 to 200 characters"),
        ({"id": "x" * 201}, {}, "id: must have 1 to 200 characters"),
        ({"id": "a\0"}, {}, "id: may not have a NUL character"),
        ({"time": None}, {}, "time: nothing at time"),
        ({"time": AT * 1000}, {}, "time: at time is outside 1970 to 2100: is time_unit = 's' right?"),
        ({"time": 10**400}, {}, "time: at time is outside 1970 to 2100"),
        ({"time": "2026-05-28T20:26:40"}, {}, 'time: names no zone at time; set time_zone = "UTC", say'),
        ({"time": "yesterday"}, {}, "time: is no time at time"),
        ({"time": "20260528"}, {"time_unit": "iso"}, "time: is no time at time"),
        ({"time": AT}, {"time_unit": "iso"}, "time: must be ISO 8601 text"),
        ({"time": [AT]}, {}, "time: must be a number or text, not a list, at time"),
        ({"time": True}, {}, "time: must be a number or text, not true or false, at time"),
        ({"features": None}, {}, "features: nothing at features"),
        ({"features": [1]}, {}, "features: no object at features"),
        ({"features": {"age": {"years": 31}}}, {}, "features.age: must be text, a number, true, false or null, not an"),
        ({"row": [1]}, {"features": {"list": "row", "names": ["a", "b"]}}, "features: 1 values at row; 2 are named"),
        ({}, {"features": {"list": "row", "names": ["a"]}}, "features: no list at row; 1 are named"),
        ({"a": [1]}, {"features": {"select": {"age": "a"}}}, "features.age: must be text, a number, true, false or"),
        ({"y": None}, {"prediction": "y"}, "prediction: nothing at y"),
        ({"y": math.nan}, {"prediction": "y"}, "prediction: is no finite number at y"),
        ({"id": Decimal("1e5000")}, {}, "id: must be text or a number, not Decimal, at id"),
        ({"y": []}, {"prediction": "y"}, "prediction: must be text, a number or true or false, not a list, at y"),
        ({"y": "a\0"}, {"prediction": "y"}, "prediction: may not have a NUL character"),
        ({"p": 1.5}, {"probability": "p"}, "probability: must be from 0 to 1, at p"),
        ({"p": True}, {"probability": "p"}, "probability: must be a number, or an object of numbers by class, at p"),
        ({"p": [0.5]}, {"probability": "p"}, "probability: must be a number, or an object of numbers by class, at p; "),
        ({"p": {"no": "x"}}, {"probability": "p"}, "probability: must be a number, or an object of numbers by class"),
        ({"p": {"no": 2}}, {"probability": "p"}, "probability.no: must be from 0 to 1, at p"),
        ({}, {"model": "m"}, "model: nothing at m"),
        ({}, {"version": "m.v"}, "version: nothing at m.v"),
        ({"time": {}}, {"time": "abs(time)"}, "time: abs(time): abs() takes number, not object"),
        ({"w": 1}, {"where": "length(w)"}, "where: length(w): length() takes "),
    ],
)  # fmt: skip
def test_what_does_not_map_is_rejected_with_its_field(
    changed: dict[str, Any], mapping: dict[str, Any], reason: str
) -> None:
    run = mapped([SOUND | changed], **mapping)
    assert (run.predictions, run.feedback, run.filtered) == ([], [], [])
    (rejected,) = run.rejected
    assert rejected.reason.startswith(reason)
    assert not rejected.readable


def test_numbers_may_be_predictions_and_truths() -> None:
    run = mapped([SOUND | {"y": 2.5, "truth": 3.5}, SOUND | {"y": 7.0, "truth": 3}], "both", prediction="y")
    assert [event.prediction for event in run.predictions] == [2.5, 7.0]
    assert [event.actual for event in run.feedback] == [3.5, 3]


def test_a_record_maps_as_a_whole_or_not_at_all() -> None:
    run = mapped([SOUND | {"truth": []}, SOUND | {"truth": 1}, SOUND | {"truth": None}], "both")
    assert [one.record.offset for one in run.rejected] == [0]
    assert (run.predictions_at, run.feedback_at) == ([1, 2], [1])


def test_feedback_without_a_truth_is_rejected() -> None:
    (rejected,) = mapped([{"id": 1, "time": AT, "truth": None}], "feedback").rejected
    assert rejected.reason == "truth: nothing at truth"


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text(max_size=4)
    | st.sampled_from([AT, str(AT), "2026-05-28T20:26:40Z", 0.5, "0.5", "x" * 201, "a\0"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=4,
)  # fmt: skip
RECORDS = st.fixed_dictionaries(
    {"id": st.text(min_size=1, max_size=3) | VALUES, "time": st.just(AT) | VALUES,
     "features": st.dictionaries(st.text(max_size=2), VALUES, max_size=3) | VALUES},
    optional={"truth": VALUES, "y": VALUES, "p": VALUES, "op": st.sampled_from(["c", "d"])},
)  # fmt: skip


@given(st.lists(RECORDS, max_size=6))
def test_a_run_becomes_what_its_records_become_one_by_one(documents: list[Any]) -> None:
    mapper = SourceMapper(declared("both", prediction="y", probability="p", where="op != 'd'"))
    records = json_records(documents)
    run = mapper.map(records, documents)
    alone = [mapper.map([record], [document]) for record, document in zip(records, documents, strict=True)]
    assert run.predictions == [event for one in alone for event in one.predictions]
    assert run.feedback == [event for one in alone for event in one.feedback]
    assert run.rejected == [one for each in alone for one in each.rejected]
    assert run.predictions_at == [i for i, one in enumerate(alone) if one.predictions]
    assert run.feedback_at == [i for i, one in enumerate(alone) if one.feedback]
    assert run.filtered == [i for i, one in enumerate(alone) if one.filtered]
    assert all(len(one.predictions) + len(one.rejected) + len(one.filtered) == 1 for one in alone)


@given(st.lists(RECORDS, max_size=4))
def test_what_maps_is_taken_by_every_reader(documents: list[Any]) -> None:
    run = mapped(documents, "both", prediction="y", probability="p")
    for event in run.predictions:
        read = msgspec.json.decode(msgspec.json.encode(event), type=PredictionEvent)
        assert isinstance(read.timestamp, float)
        assert not wrong_prediction(
            read.prediction_id, read.model, read.model_version, read.timestamp, read.prediction, read.probability
        )
        assert read.prediction is not None
    for truth in run.feedback:
        msgspec.json.decode(msgspec.json.encode(truth), type=FeedbackEvent)
