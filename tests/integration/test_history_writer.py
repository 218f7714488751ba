"""What is written of the topics' records, in SQLite and in PostgreSQL: every record once, joined in either order."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import inspect, text

from app.history import History, NewerHistory, NoHistory
from app.history.errors import HistoryUnavailable
from app.history.event_rows import entries_of
from app.history.migrating import config_of
from app.history.tables import (
    ALERTS,
    DELIVERIES,
    DRIFT_CHECKS,
    MODEL_DEPLOYMENTS,
    PREDICTION_DAYS,
    PREDICTION_HOURS,
    PREDICTIONS,
    REVISION,
    TRAINING_RUNS,
    WAITING_FEEDBACK,
    metadata,
)
from app.history.writer import RecordedRun
from app.telemetry.metrics import RECORDER
from tests.support.databases import PASSWORD, Server, emptied
from tests.support.history_stream import AT, ISO, Sent, Stream, prediction
from topics import registry
from topics.registry import Topic


@pytest.fixture
def stream(history: History) -> Stream:
    return Stream(history)


def test_the_migrations_make_the_tables_that_are_declared(history: History) -> None:
    with history.writing() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
        heads = ScriptDirectory.from_config(config_of(connection)).get_heads()
    assert heads == [REVISION]
    history.prepare()  # again: nothing to do


def test_a_history_of_the_release_before_is_summed_by_the_hour_once(stream: Stream) -> None:
    history, begin = stream.history, datetime(2026, 3, 1, 23, 40, tzinfo=UTC)
    stream.write(
        registry.PREDICTIONS,
        *(
            prediction(f"p{i}", timestamp=(begin + i * timedelta(minutes=7)).isoformat(), prediction=value,
                       probability=None if i % 3 else i / 20, model_version=str(i % 2))
            for i, value in enumerate(["a", 2, 2.5, True, 1e300, "b", -7, 0, "a", 3])
        ),
    )  # fmt: skip
    stream.write(registry.FEEDBACK, *({"prediction_id": f"p{i}", "actual": i} for i in range(0, 9, 2)))
    kept = sorted(stream.rows(PREDICTION_HOURS), key=lambda row: (row["model_version"], row["hour"]))
    assert [row["hour"] for row in kept] == ["2026-03-01T23", "2026-03-02T00"] * 2
    with history.writing() as connection:
        command.downgrade(config_of(connection), "r0004")
    history.prepare()
    summed = sorted(stream.rows(PREDICTION_HOURS), key=lambda row: (row["model_version"], row["hour"]))
    sums = {"prediction_sum", "probability_sum", "error_sum"}
    for before, after in zip(kept, summed, strict=True):
        assert {name: after[name] for name in sums} == pytest.approx({name: before[name] for name in sums})
        assert {name: after[name] for name in after.keys() - sums} == {
            name: before[name] for name in before.keys() - sums
        }


def test_a_history_of_another_version_is_refused_by_name(history: History) -> None:
    with history.writing() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = 'r9999'"))
    with pytest.raises(NewerHistory, match="r9999"), history.reading():
        pass
    with pytest.raises(NewerHistory, match="another version of Driftline"):
        history.prepare()


def test_a_history_that_is_not_there_says_what_to_run(tmp_path: Any) -> None:
    with pytest.raises(NoHistory, match="driftline recorder"), History(tmp_path / "none.db").reading():
        pass
    assert not (tmp_path / "none.db").exists()


def test_a_prediction_is_kept_as_it_came(stream: Stream) -> None:
    stream.write(
        registry.PREDICTIONS,
        prediction("a", timestamp="2026-03-01T13:30:00.25+01:30", metadata={"shop": "x\x00y"}),
        prediction("b", prediction=2, probability={"one": 0.5, "two": 0.5}, features={"é": None, "n": True}),
        prediction("c", prediction=True, probability=None, features={}),
    )
    a, b, c = stream.rows(PREDICTIONS)
    assert a["predicted_at"] == datetime(2026, 3, 1, 12, 0, 0, 250_000, UTC)
    assert msgspec.json.decode(a["features"]) == {"age": 41.5, "town": "Oulu"}
    assert msgspec.json.decode(a["metadata"]) == {"shop": "x\x00y"}
    assert (a["prediction"], a["prediction_value"], a["probability"]) == ("stays", None, 0.25)
    assert (b["prediction"], b["prediction_value"], b["probability"]) == ("2", 2.0, None)
    assert msgspec.json.decode(b["probabilities"]) == {"one": 0.5, "two": 0.5}
    assert msgspec.json.decode(b["features"]) == {"é": None, "n": True}
    assert (c["prediction"], c["prediction_value"], c["actual"]) == ("true", 1.0, None)


def test_a_postgresql_without_an_encoding_keeps_texts_as_texts(postgresql: Server) -> None:
    with postgresql.history("SQL_ASCII") as history:
        stream = Stream(history)
        stream.write(registry.PREDICTIONS, prediction("ä€😀", model="kävely", features={"é": "ü"}, prediction="yö"))
        (row,) = stream.rows(PREDICTIONS)
    assert (row["prediction_id"], row["model"], row["prediction"]) == ("ä€😀", "kävely", "yö")
    assert msgspec.json.decode(row["features"]) == {"é": "ü"}


@pytest.mark.parametrize(
    ("database", "password", "words"),
    [
        ("postgres", "not the one", r"history_password \(or history_password_file\) is not that of this user"),
        ("postgres", None, "no password is set: set history_password or history_password_file"),
        ("none", PASSWORD, 'database "none" does not exist$'),
    ],
)
def test_a_wrong_password_is_named_by_its_setting_and_never_by_its_value(
    postgresql: Server, database: str, password: str | None, words: str
) -> None:
    history = History(postgresql.url(database), password)
    with pytest.raises(HistoryUnavailable, match=words) as error, history.reading():
        pass
    assert password is None or password not in str(error.value)
    assert "\n" not in str(error.value)


def test_the_first_prediction_and_the_last_feedback_count(stream: Stream) -> None:
    stream.write(registry.PREDICTIONS, prediction("a"), prediction("a", prediction="goes"))
    stream.write(registry.PREDICTIONS, prediction("a", prediction="goes"))
    stream.write(registry.FEEDBACK, {"prediction_id": "a", "actual": "stays"}, {"prediction_id": "a", "actual": "goes"})
    (row,) = stream.rows(PREDICTIONS)
    assert (row["prediction"], row["actual"]) == ("stays", "goes")
    assert row["feedback_at"] == datetime.fromtimestamp(1_700_000_500, UTC)
    stream.write(registry.FEEDBACK, {"prediction_id": "a", "actual": 1, "timestamp": ISO})
    (row,) = stream.rows(PREDICTIONS)
    assert (row["actual"], row["actual_value"]) == ("1", 1.0)
    assert row["feedback_at"] == datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_feedback_waits_for_its_prediction(stream: Stream) -> None:
    stream.write(registry.FEEDBACK, {"prediction_id": "a", "actual": "x"}, {"prediction_id": "b", "actual": "y"})
    stream.write(registry.FEEDBACK, {"prediction_id": "a", "actual": "z"})
    assert [row["actual"] for row in stream.rows(WAITING_FEEDBACK)] == ["z", "y"]
    stream.write(registry.PREDICTIONS, prediction("a"))
    assert [row["actual"] for row in stream.rows(PREDICTIONS)] == ["z"]
    assert [row["prediction_id"] for row in stream.rows(WAITING_FEEDBACK)] == ["b"]


def test_every_version_of_an_id_is_recorded_and_has_its_truth(stream: Stream) -> None:
    """Two versions serve the same ids: truth comes before both, between them, after both, and is corrected."""
    ids = ("before", "between", "after", "corrected")
    champion = [prediction(key) for key in ids]
    challenger = [prediction(key, model_version="4", prediction="goes") for key in ids]
    stream.write(registry.FEEDBACK, {"prediction_id": "before", "actual": "goes"})
    stream.write(registry.PREDICTIONS, *champion, champion[0])
    stream.write(registry.FEEDBACK, *({"prediction_id": key, "actual": "stays"} for key in ("between", "corrected")))
    stream.write(registry.PREDICTIONS, *challenger, challenger[0])
    stream.write(registry.FEEDBACK, *({"prediction_id": key, "actual": "goes"} for key in ("after", "corrected")))
    found = {(row["prediction_id"], row["model_version"]): row for row in stream.rows(PREDICTIONS)}
    truth = {"before": "goes", "between": "stays", "after": "goes", "corrected": "goes"}
    assert {key: row["actual"] for key, row in found.items()} == {
        (key, version): actual for key, actual in truth.items() for version in ("3", "4")
    }
    assert {row["prediction"] for (_, version), row in found.items() if version == "4"} == {"goes"}
    assert stream.rows(WAITING_FEEDBACK) == []
    assert [row["trimmed"] for row in stream.rows(PREDICTION_DAYS)] == [False, False]


def test_a_history_of_one_version_an_id_is_taken_on(stream: Stream) -> None:
    """The release before had the id alone as the key."""
    with stream.history.writing() as connection:
        command.downgrade(config_of(connection), "r0002")
        assert inspect(connection).get_pk_constraint("predictions")["constrained_columns"] == ["prediction_id"]
    stream.history.prepare()
    stream.write(registry.PREDICTIONS, prediction("a"))
    with stream.history.writing() as connection:
        command.downgrade(config_of(connection), "r0002")
    stream.history.prepare()
    stream.write(registry.PREDICTIONS, prediction("a", model_version="4"))
    assert [(row["model_version"], row["features"]) for row in stream.rows(PREDICTIONS)] == [
        (version, '{"age":41.5,"town":"Oulu"}') for version in ("3", "4")
    ]
    with stream.history.writing() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_rows_are_counted_by_table_once_they_are_committed(stream: Stream) -> None:
    def told(name: str, **labels: str) -> float:
        return RECORDER.get_sample_value(f"driftline_recorder_{name}", labels) or 0.0

    def rows() -> list[float]:
        return [told("rows_total", table=table.name) for table in (PREDICTIONS, WAITING_FEEDBACK)]

    before, batches = rows(), told("batch_seconds_count")
    stream.clock = datetime(2026, 3, 1, 12, tzinfo=UTC)
    stream.write(registry.PREDICTIONS, prediction("a"), prediction("b"))
    stream.write(registry.FEEDBACK, {"prediction_id": "a", "actual": "x"}, {"prediction_id": "later", "actual": "y"})
    assert [new - old for new, old in zip(rows(), before, strict=True)] == [3.0, 1.0]
    assert told("batch_seconds_count") == batches + 2
    assert told("last_write_timestamp_seconds") == stream.clock.timestamp()
    beyond = stream.run(registry.PREDICTIONS, prediction("c"), start=1000)
    stream.writer.write([beyond])  # what lies between is missing: nothing of it is written
    assert told("batch_seconds_count") == batches + 2


@pytest.mark.parametrize("history", ["sqlite"], indirect=True)
@given(
    sent=st.lists(
        st.tuples(
            st.booleans(), st.sampled_from("abc"), st.sampled_from("xyz"), st.sampled_from([None, "churn", "fraud"])
        ),
        max_size=25,
    ),
    cuts=st.lists(st.integers(0, 25), max_size=4),
    again=st.integers(0, 10),
)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_however_runs_are_cut_and_replayed_it_comes_to_the_same(
    history: History, sent: list[tuple[bool, str, str, str | None]], cuts: list[int], again: int
) -> None:
    """Feedback is for every model, or limited to one."""
    stream = Stream(emptied(history))
    first: dict[tuple[str, str], str] = {}
    last: dict[tuple[str, str], str] = {}
    unlimited: dict[str, str] = {}
    bounds = sorted({0, len(sent), *(cut for cut in cuts if cut < len(sent))})
    for start, end in pairwise(bounds):
        events: dict[Topic, list[dict[str, object]]] = {registry.PREDICTIONS: [], registry.FEEDBACK: []}
        for is_prediction, key, value, model in sent[start:end]:
            if is_prediction:
                events[registry.PREDICTIONS].append(prediction(key, prediction=value, model=model or "churn"))
                first.setdefault((key, model or "churn"), value)
            else:
                events[registry.FEEDBACK].append({"prediction_id": key, "actual": value, "model": model})
                last |= dict.fromkeys([(key, one) for one in ("churn", "fraud") if model in (None, one)], value)
                if model is None:
                    unlimited[key] = value
        runs = [stream.run(topic, *found) for topic, found in events.items()]
        stream.writer.write(runs)
        for run in runs:
            older = RecordedRun(
                run.topic, run.place, run.start, max(run.start, run.end - again), run.entries[: -again or None]
            )
            stream.writer.write([older])
    found = {(row["prediction_id"], row["model"]): row for row in stream.rows(PREDICTIONS)}
    assert {key: row["prediction"] for key, row in found.items()} == first
    assert {key: row["actual"] for key, row in found.items()} == {key: last.get(key) for key in first}
    waiting = {row["prediction_id"]: row["actual"] for row in stream.rows(WAITING_FEEDBACK) if not row["model"]}
    ids = {key for key, _ in first}
    assert {key: value for key, value in waiting.items() if key not in ids} == {
        key: value for key, value in unlimited.items() if key not in ids
    }
    stream.write(registry.PREDICTIONS, *(prediction(key, model=one) for key in "abc" for one in ("churn", "fraud")))
    joined = {(row["prediction_id"], row["model"]): row["actual"] for row in stream.rows(PREDICTIONS)}
    assert joined == {(key, one): last.get((key, one)) for key in "abc" for one in ("churn", "fraud")}


def test_a_replay_adds_no_row_and_a_gap_is_not_written(stream: Stream) -> None:
    first = stream.run(registry.PREDICTIONS, prediction("a"), prediction("b"))
    assert stream.writer.write([first]) == {("predictions", 0): 2}
    overlapping = stream.run(registry.PREDICTIONS, prediction("other b"), prediction("c"), start=1)
    assert stream.writer.write([overlapping]) == {("predictions", 0): 3}
    beyond = stream.run(registry.PREDICTIONS, prediction("z"), start=10)
    assert stream.writer.write([beyond]) == {("predictions", 0): 3}
    assert [row["prediction_id"] for row in stream.rows(PREDICTIONS)] == ["a", "b", "c"]


def test_a_partition_that_is_not_known_is_not_written(stream: Stream) -> None:
    run = stream.run(registry.PREDICTIONS, prediction("a"))
    unknown = RecordedRun(run.topic, ("predictions", 7), 0, 1, run.entries)
    assert stream.writer.write([unknown]) == {}
    assert stream.rows(PREDICTIONS) == []


def test_days_note_that_they_changed(stream: Stream) -> None:
    stream.write(registry.PREDICTIONS, prediction("a"), prediction("b", timestamp=AT + 86_400))
    before = {row["day"]: row["revision"] for row in stream.rows(PREDICTION_DAYS)}
    assert sorted(before) == ["2023-11-14", "2023-11-15"]
    stream.write(registry.FEEDBACK, {"prediction_id": "b", "actual": "goes"})
    after = {row["day"]: row["revision"] for row in stream.rows(PREDICTION_DAYS)}
    assert after["2023-11-14"] == before["2023-11-14"]
    assert after["2023-11-15"] > before["2023-11-15"]


def test_a_model_s_life_is_kept(stream: Stream) -> None:
    run = {
        "run_id": "r1", "model": "churn", "model_version": "3", "model_type": "LogisticRegression",
        "status": "completed", "started_at": ISO, "finished_at": "2026-03-01T12:01:00Z", "rows": 900, "features": 4,
        "metrics": {"accuracy": 0.9}, "parameters": {"C": 1.0}, "sha256": "ab",
    }  # fmt: skip
    deployed = {"model": "churn", "model_version": "3", "deployed_at": ISO, "source": "register"}
    stream.write(registry.TRAINING_RUNS, run, {**run, "run_id": "r2", "status": "failed", "detail": "no rows"})
    stream.write(registry.DEPLOYMENTS, deployed, deployed, {**deployed, "source": "api"})
    assert {row["status"] for row in stream.rows(MODEL_DEPLOYMENTS)} == {"active"}
    first, second = stream.rows(TRAINING_RUNS)
    assert (first["is_retraining"], first["environment"], first["metadata"]) == (False, "", "{}")
    assert (first["rows"], msgspec.json.decode(first["metrics"])) == (900, {"accuracy": 0.9})
    assert (second["status"], second["detail"]) == ("failed", "no rows")
    assert [row["source"] for row in stream.rows(MODEL_DEPLOYMENTS)] == ["api", "register"]
    with stream.history.writing() as connection:
        command.downgrade(config_of(connection), "r0006")
    stream.history.prepare()  # a history of the release before
    reported = {**deployed, "source": "external", "environment": "production", "metadata": {"commit": "3f2a"}}
    stream.write(registry.DEPLOYMENTS, reported, reported, {**reported, "status": "rolled back"})
    stream.write(registry.TRAINING_RUNS, {**run, "is_retraining": True, "environment": "batch", "metadata": {"a": 1}})
    kept = [(row["source"], row["environment"], row["status"]) for row in stream.rows(MODEL_DEPLOYMENTS)]
    assert sorted(kept) == [
        ("api", "", "active"), ("external", "production", "active"), ("external", "production", "rolled back"),
        ("register", "", "active"),
    ]  # fmt: skip
    again = next(row for row in stream.rows(TRAINING_RUNS) if row["run_id"] == "r1")
    assert (again["is_retraining"], again["environment"], again["metadata"]) == (True, "batch", '{"a":1}')


def test_alerts_and_deliveries_are_kept(stream: Stream) -> None:
    alert = {
        "alert_id": "a1", "fingerprint": "f", "status": "firing", "level": "error", "rule": "drift", "title": "t",
        "message": "m", "labels": {"model": "churn", "model_version": "3"}, "started_at": ISO, "ended_at": None,
        "evidence": {"share": 0.4}, "links": {}, "emitted_at": ISO,
    }  # fmt: skip
    delivery = {
        "alert_id": "a1", "fingerprint": "f", "channel": "slack", "outcome": "failed", "attempts": 2,
        "detail": "HTTP 500", "delivered_at": ISO, "notification_id": "n1", "reason": "new",
    }  # fmt: skip
    stream.write(registry.ALERTS, alert, alert)
    stream.write(registry.DELIVERIES, delivery, {**delivery, "delivered_at": "2026-03-01T12:05:00Z"}, delivery)
    (kept,) = stream.rows(ALERTS)
    assert (kept["model"], kept["model_version"], kept["ended_at"]) == ("churn", "3", None)
    assert [row["attempts"] for row in stream.rows(DELIVERIES)] == [2, 2]


def test_reports_are_kept_without_their_pictures(stream: Stream) -> None:
    from tests.support.reports import drift_report, performance_report

    stream.write(registry.REPORTS, drift_report(), performance_report())
    kinds = {row["kind"]: row for row in stream.rows(DRIFT_CHECKS)}
    assert set(kinds) == {"drift", "performance"}
    report = msgspec.json.decode(kinds["drift"]["report"])
    assert report["features"]
    assert all(feature["shape"] is None for feature in report["features"])


def test_what_no_database_holds_goes_to_the_dead_letters_with_the_field() -> None:
    good, bad = prediction("a"), prediction("b", model="x\x00y")
    records = [
        Sent(0, msgspec.json.encode(good), b"a"),
        Sent(1, msgspec.json.encode(bad), b"b"),
        Sent(2, b"{", b"c"),  # the join has it in the dead letters
        Sent(3, msgspec.json.encode(prediction("d", model="m" * 200 + "é")), b"d"),
        Sent(4, msgspec.json.encode(prediction("e", features={"a": [1]})), b"e"),
    ]
    entries, rejected = entries_of(registry.PREDICTIONS, records)
    assert [entry.offset for entry in entries] == [0]
    assert [(one.record.offset, one.reason) for one in rejected] == [
        (1, "history: `model` has a NUL character in it, which a database cannot hold")
    ]
    _, unread = entries_of(registry.DELIVERIES, [Sent(0, b"{"), Sent(1, None)])
    assert [one.reason for one in unread] == ["malformed JSON: Input data was truncated", "the record has no value"]
