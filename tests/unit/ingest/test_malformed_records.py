"""Runs of records that are not all sound: nothing is lost, nothing raises, the reason names the field."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from types import NoneType
from typing import Any

import numpy as np
import pytest
import xxhash
from hypothesis import example, given
from hypothesis import strategies as st

from app.core.config.monitoring import Windows
from app.core.join.state import NEVER, CompiledModel, PredictionBatch
from app.ingest.decoding import Rejected
from app.ingest.feedback import feedback_batch
from app.ingest.predictions import PredictionColumns, heads_of, heartbeat_of, is_heartbeat
from tests.support.join_log import HEARTBEAT, PROFILES
from tests.support.join_truth import spelled
from tests.support.reports import StubRecord

Event = dict[str, Any]
VERSIONS = ["binary", "multiclass"]
WATCHED = [CompiledModel(PROFILES[version], Windows()) for version in VERSIONS]
PREDICTION: Event = {
    "prediction_id": "a", "model": "m", "model_version": "binary", "timestamp": 1_700_000_000.5,
    "features": {"size": 1.5, "colour": "red"}, "prediction": "1", "probability": 0.75, "metadata": None,
}  # fmt: skip
FEEDBACK: Event = {"prediction_id": "a", "actual": "1", "timestamp": 1_700_000_000.5, "metadata": {"by": "hand"}}
BELIEVED = ("2024-02-29T12:00:00Z", "2024-02-29t12:00:00.123+05:30")
NAMES = st.text(st.characters(min_codepoint=32, exclude_characters='"\\', codec="utf-8"), max_size=5)
"""Of features: those with other characters have a test of their own."""
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**6), 10**6) | st.floats(-1e12, 1e12) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=5,
)
LIKELY = st.sampled_from(
    [*BELIEVED, "2024-02-29", 0, 1, 0.5, 1.5, "", "x" * 201, {"0": 0.5, "1": 2}, {"1": 0.5}, "NaN"]
)


def number_of(model: str, version: str) -> int | None:
    return VERSIONS.index(version) if model == "m" and version in VERSIONS else None


def record(event: Event | bytes | None, key: bytes | None = None, offset: int = 0, **more: Any) -> StubRecord:
    """A record of an event, under the key that it asks for."""
    value = json.dumps(event).encode() if isinstance(event, dict) else event
    named = event.get("prediction_id") if isinstance(event, dict) else None
    fitting = named.encode() if isinstance(named, str) else b"a"
    return StubRecord(offset, value, fitting if key is None else key, **more)


def read(records: Sequence[StubRecord]) -> tuple[PredictionBatch, list[Rejected], list[StubRecord]]:
    batch, rejected, kept = PredictionColumns(WATCHED, number_of).batch(heads_of(records))
    return batch, rejected, kept  # type: ignore[return-value]


def ids(records: Sequence[StubRecord]) -> list[list[int]]:
    digests = [xxhash.xxh3_128(record.key or b"").intdigest() for record in records]
    return [[digest >> 64, digest & (1 << 64) - 1] for digest in digests]


def plain(column: Iterable[object]) -> list[object]:
    """Values of a column, None for those that are missing."""
    return [None if isinstance(value, float) and np.isnan(value) else value for value in column]


# What is sound, by the words of the design alone


def is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def is_name(value: object) -> bool:
    return isinstance(value, str) and 1 <= len(value) <= 200


def is_time(value: object) -> bool:
    return value in BELIEVED or (is_number(value) and 0 <= value < 4_102_444_800)  # type: ignore[operator]


def are_scalars(value: object) -> bool:
    return isinstance(value, dict) and not any(isinstance(one, (list, dict)) for one in value.values())


def is_probability(value: object, version: object, prediction: object) -> bool:
    """Of many classes the one is judged that was predicted, of two the last."""
    if isinstance(value, dict):
        if not all(map(is_number, value.values())):
            return False
        judged = {"binary": PROFILES["binary"].labels[-1], "multiclass": spelled(prediction)}
        value = value.get(judged[str(version)]) if version in VERSIONS else None
    if value is None or version not in VERSIONS:
        return value is None or is_number(value)
    return is_number(value) and 0 <= value <= 1  # type: ignore[operator]


def wrong_fields(event: Event) -> set[str]:
    """The fields of a prediction that are not as they should be."""
    version = event.get("model_version")
    checks = {
        "prediction_id": is_name(event.get("prediction_id")),
        "model": is_name(event.get("model")),
        "model_version": is_name(version) and number_of(str(event.get("model")), str(version)) is not None,
        "timestamp": is_time(event.get("timestamp")),
        "features": are_scalars(event.get("features")),
        "prediction": isinstance(event.get("prediction"), (str, int, float, bool, NoneType)),
        "probability": is_probability(event.get("probability"), version, event.get("prediction")),
        "metadata": event.get("metadata") is None or are_scalars(event["metadata"]),
    }
    return {field for field, sound in checks.items() if not sound}


@st.composite
def changed(draw: st.DrawFn, base: Event) -> Event:
    """An event with up to two fields changed or left out; sometimes as it was."""
    event = dict(base)
    for _ in range(draw(st.integers(0, 2))):
        field = draw(st.sampled_from([*base, "surplus"]))
        if draw(st.booleans()) and field in event:
            del event[field]
        else:
            event[field] = draw(LIKELY | JSON)
    return event


@given(st.lists(changed(PREDICTION) | changed(PREDICTION | {"model_version": "multiclass"}), max_size=8))
@example([PREDICTION | {"model_version": "multiclass", "probability": {"0": 0.5, "1": 2}}])
def test_the_predictions_that_are_sound_are_kept_and_the_others_say_which_field_is_not(events: list[Event]) -> None:
    records = [record(event, offset=i) for i, event in enumerate(events)]
    batch, rejected, kept = read(records)
    wrong = [wrong_fields(event) for event in events]
    assert [r.offset for r in kept] == [i for i, fields in enumerate(wrong) if not fields]
    assert sorted(r.record.offset for r in rejected) == [i for i, fields in enumerate(wrong) if fields]
    for one in rejected:
        event = events[one.record.offset]
        if isinstance(event.get("features"), dict):  # what is no object: the case marked below
            assert any(field in one.reason for field in wrong[one.record.offset])
    assert batch.ids.tolist() == ids(kept)
    sound = [events[r.offset] for r in kept]
    assert batch.model.tolist() == [VERSIONS.index(event["model_version"]) for event in sound]
    for number, version in enumerate(VERSIONS):
        of_model = [event for event in sound if event["model_version"] == version]
        names = [column.name for column in PROFILES[version].features]
        if of_model:
            expected = [[event["features"].get(name) for event in of_model] for name in names]
            assert [plain(column) for column in batch.columns[number][: len(names)]] == expected
            assert plain(batch.columns[number][len(names)]) == [event.get("prediction") for event in of_model]
        unknown = [
            (i, name)
            for i, event in enumerate(sound)
            if event["model_version"] == version
            for name in event["features"]
            if name not in names
        ]
        assert sorted(batch.unknown.get(number, [])) == sorted(unknown)


@given(st.lists(changed(FEEDBACK), max_size=8))
def test_the_feedback_that_is_sound_is_kept_and_the_rest_says_which_field_is_not(events: list[Event]) -> None:
    def wrong(event: Event) -> set[str]:
        checks = {
            "prediction_id": is_name(event.get("prediction_id")),
            "actual": isinstance(event.get("actual"), (str, int, float, bool)),
            "timestamp": event.get("timestamp") is None or is_time(event["timestamp"]),
            "metadata": event.get("metadata") is None or are_scalars(event["metadata"]),
        }
        return {field for field, sound in checks.items() if not sound}

    records = [record(event, offset=i) for i, event in enumerate(events)]
    batch, rejected = feedback_batch(records)
    kept = [i for i, event in enumerate(events) if not wrong(event)]
    assert batch.ids.tolist() == ids([records[i] for i in kept])
    assert list(batch.actual) == [events[i]["actual"] for i in kept]
    assert (batch.time == NEVER).tolist() == [events[i].get("timestamp") is None for i in kept]
    assert sorted(r.record.offset for r in rejected) == [i for i in range(len(events)) if i not in kept]
    for one in rejected:
        assert any(field in one.reason for field in wrong(events[one.record.offset]))


@st.composite
def mangled(draw: st.DrawFn, base: Event) -> bytes:
    """JSON with some of its bytes cut out, put in or changed."""
    raw = bytearray(json.dumps(draw(changed(base)), ensure_ascii=draw(st.booleans())).encode("utf-8", "surrogatepass"))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(raw)))
        end = draw(st.sampled_from([at, at, at + 1, at + 4, len(raw)]))
        raw[at:end] = draw(
            st.binary(max_size=3)
            | st.sampled_from([b"\n", b"}\n{", b'"\\ud800"', b"1e999", b"9" * 400, b"NaN", b"[" * 3000, b"null", b"-0"])
        )
    return bytes(raw)


RUNS = st.lists(
    st.tuples(mangled(PREDICTION) | mangled(FEEDBACK) | st.none(), st.sampled_from([b"a", b"", None, b"\xff"])),
    max_size=6,
)


@given(RUNS)
def test_whatever_arrives_is_kept_or_rejected_and_never_raises(run: list[tuple[bytes | None, bytes | None]]) -> None:
    records = [StubRecord(i, value, key) for i, (value, key) in enumerate(run)]
    batch, rejected, kept = read(records)
    assert sorted([r.record.offset for r in rejected] + [r.offset for r in kept]) == list(range(len(run)))
    assert len(batch.ids) == len(batch.model) == len(batch.time) == len(kept)
    assert all(r.key == b"a" for r in kept)
    assert all(r.reason for r in rejected)
    found, refused = feedback_batch(records)
    assert len(found.ids) == len(found.actual) == len(found.time) == len(run) - len(refused)
    for one in records:
        assert isinstance(heartbeat_of(one), Rejected) or b"timestamp" in (one.value or b"")


@given(RUNS)
def test_a_run_is_read_as_its_records_one_by_one(run: list[tuple[bytes | None, bytes | None]]) -> None:
    records = [StubRecord(i, value, key) for i, (value, key) in enumerate(run)]
    together = {r.record.offset: r.reason for r in read(records)[1]}
    alone = {r.record.offset: r.reason for one in records for r in read([one])[1]}
    assert together == alone


@pytest.mark.parametrize(
    ("value", "key", "words"),
    [
        (None, b"a", "the record has no value"),
        (b"", b"a", "malformed JSON"),
        (b'{"prediction_id": "a"', b"a", "malformed JSON"),
        (b"\xff\xfe", b"a", "malformed JSON"),
        (b"[]", b"a", "Expected `object`"),
        (PREDICTION, b"b", "the record's key is not its prediction_id"),
        (PREDICTION, None, "the record has no key: it must be the prediction_id"),
        (PREDICTION | {"timestamp": 1_700_000_000_000}, b"a", "`timestamp` is outside 1970 to 2100"),
        (PREDICTION | {"timestamp": "2024-02-29T12:00:00"}, b"a", "`timestamp`"),
        (PREDICTION | {"timestamp": "0001-01-01T00:00:00+14:00"}, b"a", "`timestamp` is outside 1970 to 2100"),
        (PREDICTION | {"timestamp": "9999-12-31T23:59:59-14:00"}, b"a", "`timestamp` is outside 1970 to 2100"),
        (PREDICTION | {"model": "other"}, b"a", "unknown `model_version`: other binary is not registered"),
        pytest.param(
            PREDICTION | {"features": [1]},
            b"a",
            "`features`",
        ),
        (PREDICTION | {"features": {"size": [1]}}, b"a", "`features`"),
        (PREDICTION | {"probability": -0.1}, b"a", "`probability` is not between 0 and 1"),
        (PREDICTION | {"probability": {"1": 1.1}}, b"a", "`probability` is not between 0 and 1"),
        (PREDICTION | {"probability": "0.5"}, b"a", "`probability`"),
    ],
)
def test_what_is_wrong_with_a_prediction_is_said(value: Event | bytes | None, key: bytes | None, words: str) -> None:
    bad = record(value, offset=1)
    bad.key = key
    batch, rejected, kept = read([record(PREDICTION), bad, record(PREDICTION, offset=2)])
    assert [r.offset for r in kept] == [0, 2]
    assert [r.record for r in rejected] == [bad]
    assert words in rejected[0].reason
    assert batch.time.tolist() == [1_700_000_000_500_000] * 2


def test_both_forms_of_time_are_the_same_time() -> None:
    when = datetime(2024, 2, 29, 12, 0, 0, 123_456, UTC)
    forms = [when.isoformat(), "2024-02-29T17:30:00.123456+05:30", when.timestamp()]
    batch, rejected, _ = read([record(PREDICTION | {"timestamp": form}) for form in forms])
    assert not rejected
    assert set(batch.time.tolist()) == {round(when.timestamp() * 1e6)}
    found, refused = feedback_batch([record(FEEDBACK | {"timestamp": form}) for form in forms])
    assert not refused
    assert set(found.time.tolist()) == {round(when.timestamp() * 1e6)}


def test_a_heartbeat_is_known_by_its_header_and_read_as_strictly() -> None:
    beat = {"model": "m", "model_version": "binary", "timestamp": 5.0}
    sound = record(beat, headers=HEARTBEAT)
    assert is_heartbeat(sound)
    assert not is_heartbeat(record(beat))
    assert not is_heartbeat(record(beat, headers=[("driftline", b"other")]))
    found = heartbeat_of(sound)
    assert not isinstance(found, Rejected)
    assert (found.model, found.model_version, found.timestamp) == ("m", "binary", 5.0)
    for wrong, field in ((beat | {"timestamp": 1e15}, "`timestamp`"), ({"model": "m"}, "`model_version`")):
        refused = heartbeat_of(record(wrong, headers=HEARTBEAT))
        assert isinstance(refused, Rejected)
        assert field in refused.reason


def test_more_unknown_features_than_have_a_place_are_all_named() -> None:
    events = [PREDICTION | {"features": {f"new{i}-{j}": 1 for j in range(60)}} for i in range(4)]
    columns = PredictionColumns(WATCHED, number_of)
    for _ in range(2):
        batch, rejected, _ = columns.batch(heads_of([record(event) for event in events]))
        assert not rejected
        assert sorted(batch.unknown[0]) == sorted((i, f"new{i}-{j}") for i in range(4) for j in range(60))
        assert np.array(batch.columns[0][0], object).tolist() == [None] * 4


@pytest.mark.parametrize("name", ["\u001f", 'a"b', "a\\b", "\n"])
def test_an_unknown_feature_may_have_any_name(name: str) -> None:
    batch, rejected, kept = read([record(PREDICTION | {"features": {name: 1}}), record(PREDICTION, offset=1)])
    assert (len(kept), rejected) == (2, [])
    assert batch.unknown == {0: [(0, name)]}


BROKER = 1_700_000_000_000
"""When the broker took a record, in milliseconds."""


@pytest.mark.parametrize("seconds", [301, 6 * 3600.0, 1e9])
def test_a_time_too_far_ahead_of_the_brokers_is_rejected_and_the_others_are_kept(seconds: float) -> None:
    near, far, long_ago = BROKER / 1000 + 300, BROKER / 1000 + seconds, BROKER / 1000 - 6 * 3600
    times = [near, far, long_ago]
    records = [record(PREDICTION | {"timestamp": time}, offset=i, timestamp=BROKER) for i, time in enumerate(times)]
    batch, rejected, kept = read(records)
    assert [one.offset for one in kept] == [0, 2]
    assert batch.time.tolist() == [round(near * 1e6), round(long_ago * 1e6)]
    assert [one.record.offset for one in rejected] == [1]
    assert rejected[0].reason.startswith("`timestamp` is ahead of the broker's clock by more than 300 s")
    assert rejected[0].readable
    answers = [record(FEEDBACK | {"timestamp": time}, offset=i, timestamp=BROKER) for i, time in enumerate([near, far])]
    found, refused = feedback_batch(answers)
    assert found.time.tolist() == [round(near * 1e6)]
    assert [(one.record.offset, one.readable) for one in refused] == [(1, True)]


def test_without_a_brokers_time_none_is_too_far_ahead() -> None:
    for unknown in (-1, 0):
        batch, rejected, _ = read([record(PREDICTION | {"timestamp": 4e9}, timestamp=unknown)])
        assert (len(batch.time), rejected) == (1, [])
