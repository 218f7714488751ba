"""The Python client against a server that does as it is told: nothing is lost without being counted."""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime
from functools import partial
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pytest

from app.settings.settings import Settings
from driftline import Client, InvalidEvent, Loss, PredictFailed, Undelivered
from driftline.encoding import encoded
from driftline.http import Answer as HttpAnswer
from tests.support.client_server import accepting, events, server
from tests.support.kafka_topics import records_of
from tests.support.receivers import Answer, Receiver, Request, answering, breaking_off, raw
from tests.support.stream import worker
from topics.events import AlertEvent, FeedbackEvent, PredictionEvent
from topics.registry import ALERTS, FEEDBACK, PREDICTIONS

pytestmark = pytest.mark.usefixtures("direct")


async def hanging(_request: Request, _writer: asyncio.StreamWriter) -> None:
    """Never answers; the client ends it."""
    await asyncio.sleep(0.6)


made: list[Client] = []


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    """No connection is left open."""
    yield
    while made:
        with suppress(Undelivered):
            made.pop().close(0)


def client_of(found: Receiver, **given: Any) -> Client:
    made.append(Client(found.origin, **{"model": "m", "model_version": "1", "flush_seconds": 0.02, **given}))
    return made[-1]


def lost(client: Client) -> dict[str, int]:
    stats = client.stats
    assert (stats.logged, stats.buffered) == (stats.sent + stats.lost, 0)
    return {str(kind): count for kind, count in stats.lost_by_kind.items()}


def test_importing_it_needs_httpx_alone() -> None:
    heavy = "numpy msgspec faust fastapi pydantic pandas sklearn aiokafka orjson app topics api agents"
    code = f"import sys, driftline; print([name for name in '{heavy}'.split() if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_predictions_and_feedback_in_turn_are_batches_of_each() -> None:
    with server(accepting) as found, client_of(found, batch_size=20, flush_seconds=60.0) as client:
        ids = []
        for number in range(30):
            ids.append(client.log({"age": number}, 1))
            client.feedback(ids[-1], 1)
        assert client.flush()
        sizes = [(one.line.split()[1], len(json.loads(one.body))) for one in found.requests]
        assert sizes == [("/predictions", 10), ("/feedback", 10)] * 3
        assert [one["prediction_id"] for one in events(found)] == ids
        assert [one["prediction_id"] for one in events(found, "/feedback")] == ids


def test_what_is_logged_arrives_in_batches_with_its_id_time_and_key() -> None:
    with server(accepting) as found:
        before = datetime.now(UTC)
        with client_of(found, api_key="secret", batch_size=10, flush_seconds=60) as client:
            ids = [client.log({"age": i}, "stays", probability=0.25) for i in range(25)]
            client.feedback(ids[0], "leaves")
        assert [(e["prediction_id"], e["features"]) for e in events(found)] == [
            (one, {"age": i}) for i, one in enumerate(ids)
        ]
        assert [len(json.loads(one.body)) for one in found.requests] == [10, 10, 5, 1]
        assert events(found, "/feedback") == [{"prediction_id": ids[0], "actual": "leaves"}]
        first = events(found)[0]
        assert (first["model"], first["model_version"], first["prediction"], first["probability"]) == (
            "m", "1", "stays", 0.25,
        )  # fmt: skip
        assert before <= datetime.fromisoformat(first["timestamp"]) <= datetime.now(UTC)
        assert {one.headers["authorization"] for one in found.requests} == {"Bearer secret"}
        assert client.stats.sent == 26
        assert lost(client) == {}


def test_a_few_events_go_after_a_while_without_being_asked() -> None:
    arrived = threading.Event()

    async def telling(request: Request, writer: asyncio.StreamWriter) -> None:
        await accepting(request, writer)
        arrived.set()

    with server(telling) as found:
        client = client_of(found)
        client.log({"x": 1}, 1)
        assert arrived.wait(10)
        client.close()


def test_the_key_may_be_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRIFTLINE_API_KEY", "from-there")
    with server(accepting) as found:
        with client_of(found) as client:
            client.log({}, 1)
        assert found.requests[0].headers["authorization"] == "Bearer from-there"


REFUSING = raw(b"")


@pytest.mark.parametrize(
    "trouble",
    [answering(503), answering(500), answering(429), answering(502, b"<html>"), answering(200, b"<html>hello</html>"),
     breaking_off(202), REFUSING],
    ids=["503", "500", "429", "502", "a page", "half an answer", "no answer"],
)  # fmt: skip
def test_what_fails_in_passing_is_sent_again_under_the_same_ids(trouble: Answer) -> None:
    with server(trouble, trouble, accepting) as found:
        with client_of(found, flush_seconds=60.0) as client:  # all of them are one batch
            ids = [client.log({"x": i}, 1) for i in range(3)]
            assert client.flush()
        assert {one.body for one in found.requests[1:]} == {found.requests[0].body}
        assert len(found.requests) == 3
        assert client.stats.retries == 2
        assert [event["prediction_id"] for event in json.loads(found.requests[-1].body)] == ids
        assert lost(client) == {}


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_retry_after_is_honoured(form: str) -> None:
    at: list[float] = []

    async def busy(request: Request, writer: asyncio.StreamWriter) -> None:
        at.append(time.time())
        told = "1" if form == "seconds" else format_datetime(datetime.fromtimestamp(int(at[0]) + 2, UTC), usegmt=True)
        await answering(429, b"{}", Retry_After=told)(request, writer)

    async def later(request: Request, writer: asyncio.StreamWriter) -> None:
        at.append(time.time())
        await accepting(request, writer)

    with server(busy, later) as found, client_of(found) as client:
        client.log({}, 1)
        assert client.flush()
    assert at[1] >= (at[0] + 1 if form == "seconds" else int(at[0]) + 2)
    assert lost(client) == {}


def test_an_api_that_hangs_is_given_up_in_time_and_the_loss_is_told() -> None:
    told: list[Loss] = []
    with server(hanging) as found:
        client = client_of(found, timeout=0.1, retry_seconds=0.25, on_loss=told.append)
        one = client.log({"x": 1}, 1)
        assert client.flush(5)
        client.close()
    assert lost(client) == {"given up": 1}
    assert [(loss.prediction_id, loss.kind, loss.reason) for loss in told] == [
        (one, "given up", "no answer within 0.1 s")
    ]


def test_closing_waits_no_longer_than_it_may_and_counts_what_is_left() -> None:
    with server(answering(503, b"{}", Retry_After="100")) as found:
        client = client_of(found, batch_size=2)
        for i in range(5):
            client.log({"x": i}, 1)
        assert not client.flush(0.2)
        started = time.monotonic()
        client.close(0.2)
        assert time.monotonic() - started < 3
        client.log({"x": 9}, 1)
        client.close()
    assert lost(client) == {"closed": 6}


def test_what_is_of_no_registered_model_is_counted_beside_what_was_sent(caplog: pytest.LogCaptureFixture) -> None:
    told = answering(202, b'{"accepted": 2, "rejected": [], "unregistered": 2, "warnings": ["m 1 is"]}')
    with server(told) as found, client_of(found, flush_seconds=60) as client:
        for _ in range(2):
            client.log({"x": 1}, 1)
            client.log({"x": 2}, 1)
            client.flush()
    assert (client.stats.sent, client.stats.lost, client.stats.unregistered) == (4, 0, 4)
    assert [one.message for one in caplog.records if "not registered" in one.message] == [
        "2 events are of model versions that are not registered: driftline register (m 1 is)"
    ]


def test_partial_failure_is_counted_by_event() -> None:
    told: list[Loss] = []
    some = answering(202, b'{"accepted": 2, "rejected": [{"index": 1, "error": "timestamp: wrong"}]}')
    none = answering(422, b'{"detail": "none", "rejected": [{"index": 0, "error": "model: missing"}]}')
    with server(some, none) as found, client_of(found, flush_seconds=60, on_loss=told.append) as client:
        ids = [client.log({"x": i}, 1) for i in range(3)]
        client.flush()
        other = client.log({}, 1)
    assert client.stats.sent == 2
    assert lost(client) == {"rejected": 2}
    assert [(one.prediction_id, one.reason) for one in told] == [
        (ids[1], "timestamp: wrong"),
        (other, "model: missing"),
    ]


@pytest.mark.parametrize("status", [400, 404, 302])
def test_what_would_fail_again_is_not_sent_again(status: int) -> None:
    with server(answering(status, b'{"detail": "no such key"}', Location="/elsewhere")) as found:
        with client_of(found) as client:
            client.log({}, 1)
            client.flush()
        assert len(found.requests) == 1
    assert lost(client) == {"rejected": 1}


@pytest.mark.parametrize("status", [401, 403])
def test_what_a_key_would_mend_is_kept_and_sent_when_it_is_mended(status: int) -> None:
    refused = answering(status, b'{"detail": "no such key"}')
    with server(refused, refused, accepting) as found:
        with client_of(found) as client:
            client.log({"x": 1}, 1)
            assert client.flush()
        assert len(found.requests) == 3
    assert (client.stats.sent, lost(client)) == (1, {})


def test_closing_tells_why_a_key_is_missing() -> None:
    told: list[Loss] = []
    with server(answering(401, b'{"detail": "a key is needed"}')) as found:
        client = client_of(found, raises=True, on_loss=told.append)
        client.log({}, 1)
        assert not client.flush(0.3)
        with pytest.raises(Undelivered, match=r"1 events were not delivered.*401 a key is needed"):
            client.close(0.1)
    assert [loss.kind for loss in told] == ["closed"]


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [one.getMessage() for one in caplog.records if one.name == "driftline" and one.levelname == "WARNING"]


def test_an_api_that_is_away_is_logged_once_and_once_when_it_is_back(caplog: pytest.LogCaptureFixture) -> None:
    away = answering(503, b'{"detail": "no Kafka"}', Retry_After="0")
    with server(*[away] * 6, accepting, away, accepting) as found:
        with client_of(found, batch_size=4, buffer_events=4, flush_seconds=60) as client:
            for i in range(4):
                client.log({"x": i}, 1)
            assert client.flush()
            said = warnings(caplog)
            client.log({"x": 5}, 1)
            assert client.flush()  # what fails once in passing is not logged
        assert warnings(caplog) == said
        assert len(said) == 2, said
        assert "takes no events: 503 no Kafka" in said[0]
        assert "takes events again" in said[1]
    assert (client.stats.sent, client.stats.retries) == (5, 7)
    assert lost(client) == {}


def test_an_outage_ends_no_event_before_it_is_a_day_old(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Loss] = []
    gone, tried = threading.Event(), threading.Event()

    async def away(request: Request, writer: asyncio.StreamWriter) -> None:
        again = gone.is_set()  # asked first: the response may come to the client before this goes on
        await answering(503, b"{}", Retry_After="0")(request, writer)
        if again:
            tried.set()

    def losing(loss: Loss) -> None:
        told.append(loss)
        gone.set()

    with server(away) as found:
        client = client_of(found, batch_size=2, flush_seconds=60, on_loss=losing)
        for name, age in (("old", 86_300), ("too old", 86_401)):
            monkeypatch.setattr("driftline.client.time_ns", partial(lambda age: time.time_ns() - age * 10**9, age))
            client.log({"x": 1}, 1, prediction_id=name)
        assert gone.wait(20)
        assert tried.wait(20)
        assert [(loss.prediction_id, loss.kind) for loss in told] == [("too old", "given up")]
        assert [event["prediction_id"] for event in json.loads(found.requests[-1].body)] == ["old"]
        assert client.stats.buffered == 1
        client.close(0)


def test_closing_says_exactly_how_many_were_lost(caplog: pytest.LogCaptureFixture) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as probe:
        port = probe.getsockname()[1]
    client = Client(f"http://127.0.0.1:{port}", model="m", model_version="1", buffer_events=10_000)
    for i in range(12_000):
        client.log({"x": i}, 1)
    final = client.close(0.05)
    assert (final.logged, final.sent, final.lost, final.buffered) == (12_000, 0, 12_000, 0)
    assert final.lost_by_kind == {"full": 2_000, "closed": 10_000}
    (said,) = [one for one in warnings(caplog) if one.startswith("closed:")]
    assert "12,000 of 12,000 events were lost (2,000 full, 10,000 closed)" in said


def test_a_request_that_outlives_the_client_is_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, may = threading.Event(), threading.Event()

    def slow(*_: object) -> HttpAnswer:
        asked.set()
        may.wait(20)
        return HttpAnswer(202, {"accepted": 1}, "202")

    monkeypatch.setattr("driftline.sender.post", slow)  # a name that is looked up cannot be broken off
    client = Client("http://127.0.0.1:1", model="m", model_version="1", flush_seconds=0)
    client.log({"x": 1}, 1)
    assert asked.wait(20)
    assert client.close(0).lost_by_kind == {"closed": 1}
    may.set()
    client._thread.join(20)
    assert lost(client) == {"closed": 1}


def test_what_is_changed_after_it_was_logged_is_sent_as_it_was() -> None:
    with server(accepting) as found, client_of(found, flush_seconds=60) as client:
        features: dict[str, Any] = {"a": 1, "b": np.float32(0.5), "c": np.array([7]), "d": "x"}
        shares, extra = {"yes": 0.5}, {"k": 1}
        client.log(features, np.array([3]), probability=shares, metadata=extra)
        features["c"][0] = 8
        features |= {"a": 2, "e": 5}
        shares["yes"], extra["k"] = 0.9, 2
        client.log(features, 1)
        plain: dict[str, Any] = {"a": 1, "b": 0.5}
        client.log(plain, 1, probability=shares, metadata=extra)
        plain["a"], shares["yes"], extra["k"] = 9, 0.1, 9
        client.flush()
        first, second, third = events(found)
        assert (third["features"], third["probability"]) == ({"a": 1, "b": 0.5}, {"yes": 0.9})
        assert third["metadata"] == {"k": 2}
        assert (first["features"], first["prediction"]) == ({"a": 1, "b": 0.5, "c": 7, "d": "x"}, 3)
        assert (first["probability"], first["metadata"]) == ({"yes": 0.5}, {"k": 1})
        assert second["features"] == {"a": 2, "b": 0.5, "c": 8, "d": "x", "e": 5}


def test_a_batch_that_is_too_large_goes_in_halves() -> None:
    async def small_only(request: Request, writer: asyncio.StreamWriter) -> None:
        items = json.loads(request.body)
        bad = len(items) > 2 or any(item["features"]["x"] == 6 for item in items)
        await (answering(413, b'{"detail": "too large"}') if bad else accepting)(request, writer)

    with server(small_only) as found, client_of(found, flush_seconds=60) as client:
        for i in range(8):
            client.log({"x": i}, 1)
        client.flush()
    assert client.stats.sent == 7
    assert lost(client) == {"rejected": 1}


def test_memory_is_bounded_and_what_does_not_fit_is_counted() -> None:
    with server(hanging) as found:
        by_events = client_of(found, buffer_events=10, flush_seconds=60)
        by_bytes = client_of(found, buffer_bytes=3000, flush_seconds=60)
        for _ in range(25):
            by_events.log({"x": "y" * 500}, 1)
            by_bytes.log({"x": "y" * 500}, 1)
        assert (by_events.stats.buffered, by_events.stats.lost_by_kind) == (10, {"full": 15})
        assert (by_bytes.stats.buffered, by_bytes.stats.lost_by_kind) == (4, {"full": 21})
        for client in (by_events, by_bytes):
            client.close(0)
            assert lost(client)["closed"] == client.stats.logged - client.stats.lost_by_kind["full"]


def test_texts_that_are_suddenly_long_exceed_the_bound_by_two_batches_at_most() -> None:
    with server(hanging) as found:
        client = client_of(found, batch_size=10, buffer_bytes=1 << 20, flush_seconds=60)
        for length in (1, 100_000):
            for _ in range(100):
                client.log({"x": "y" * length}, 1)
        fits = (1 << 20) // 100_000
        assert 100 + fits <= client.stats.buffered + client.stats.sent <= 100 + fits + 2 * 10
        client.close(0)


def test_many_threads_share_one_client() -> None:
    with server(accepting) as found:
        with client_of(found, batch_size=50, flush_seconds=0.001, buffer_events=100_000) as client:

            def log_many(part: int) -> None:
                for i in range(500):
                    client.log({"x": i}, 1, prediction_id=f"{part}-{i}")

            threads = [threading.Thread(target=log_many, args=(part,)) for part in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert client.flush()
        ids = [event["prediction_id"] for event in events(found)]
    assert sorted(ids) == sorted(f"{part}-{i}" for part in range(8) for i in range(500))
    assert client.stats.sent == 4000
    assert lost(client) == {}


BAD: list[tuple[dict[str, Any], str]] = [
    ({"features": {"x": "y" * (1 << 20)}}, "at most 1,048,576"),
    ({"features": [1]}, "features: list is no mapping, Series or frame of one row"),
    ({"features": pd.DataFrame({"x": [1, 2]})}, "features: a frame of 2 rows"),
    ({"features": pd.Series([1, 2], index=["x", "x"])}, "features: two values have the name x"),
    ({"features": None}, "features: missing"),
    ({"prediction": None}, "prediction: missing"),
    ({"prediction": pd.NA}, "prediction: missing"),
    ({"prediction": float("nan")}, "prediction: must be a finite number"),
    ({"prediction": [1]}, "prediction: list is no number"),
    ({"timestamp": datetime(2026, 1, 1)}, "timestamp: a time needs its zone"),  # noqa: DTZ001 (that is the subject)
    ({"timestamp": date(2026, 1, 1)}, "timestamp: date is no time with a zone"),
    ({"timestamp": np.datetime64("2026-01-01T00:00:00")}, "timestamp: datetime64 is no time with a zone"),
    ({"prediction_id": ""}, "prediction_id: must be"),
    ({"prediction_id": [1]}, "prediction_id: must be"),
    ({"model": "x" * 201}, "model: must be"),
]


@pytest.mark.parametrize(("wrong", "reason"), BAD, ids=[reason for _, reason in BAD])
def test_what_cannot_be_sent_never_raises_unless_asked(wrong: dict[str, Any], reason: str) -> None:
    told: list[Loss] = []
    event = {"features": {"x": 1}, "prediction": 1, **wrong}
    client = Client("http://127.0.0.1:1", model="m", model_version="1", on_loss=told.append)
    client.log(**event)
    assert client.flush()
    assert reason in told[0].reason
    assert lost(client) == {"invalid": 1}
    client.close(0)
    strict = Client("http://127.0.0.1:1", model="m", model_version="1", raises=True)
    with pytest.raises(InvalidEvent, match=reason):
        strict.log(**event)


LEFT_OUT: list[tuple[dict[str, Any], str]] = [
    ({"features": {"x": [1]}}, "features.x: list is no number"),
    ({"features": {"x": np.zeros(2)}}, "features.x: ndarray is not one value"),
    ({"features": {"x": np.timedelta64(5, "ns")}}, "features.x: timedelta64 is no number"),
    ({"features": {"x": timedelta(1)}}, "features.x: timedelta is no number"),
    ({"features": {"x": 1j}}, "features.x: complex is no number"),
    ({"features": {"x": b"\xff"}}, "features.x: bytes that are not UTF-8"),
    ({"features": {"x": "\ud800"}}, "features.x: a text holds half a surrogate pair"),
    ({"features": {"x": 10**5000}}, "features.x: a number has too many digits"),
    ({"probability": float("inf")}, "probability: must be a finite number"),
    ({"probability": {"x": float("nan")}}, "probability.x: must be a finite number"),
    ({"metadata": {"x": [1]}}, "metadata.x: list is no number"),
]


def test_what_json_has_no_form_for_is_left_out_named_once_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    with server(accepting) as found, client_of(found, flush_seconds=60) as client:
        for wrong, _ in LEFT_OUT:
            for _ in range(2):
                client.log(**{"features": {}, "prediction": 1, **merged(wrong)})
        client.flush()
        sent = events(found)
    assert len(sent) == 2 * len(LEFT_OUT)
    assert all(event["features"].get("y") == 1 or not event["features"] for event in sent)
    assert not any("x" in (event.get(name) or {}) for event in sent for name in ("features", "metadata"))
    assert all(event.get("probability") in (None, {"y": 1}) for event in sent)
    assert client.stats.left_out == {"features.x": 16, "probability": 2, "probability.x": 2, "metadata.x": 2}
    assert lost(client) == {}
    said = [line for line in warnings(caplog) if "sent without it" in line]
    assert sorted(line.split(": ")[1] for line in said) == ["features.x", "metadata.x", "probability", "probability.x"]
    assert LEFT_OUT[0][1] in said[0]
    assert "closed: values were left out of events: 16 features.x, 2 metadata.x, 2 probability" in caplog.text


def merged(wrong: dict[str, Any]) -> dict[str, Any]:
    """With a value beside it that JSON has a form for."""
    return {name: {**value, "y": 1} if isinstance(value, dict) else value for name, value in wrong.items()}


@pytest.mark.parametrize(("wrong", "reason"), LEFT_OUT, ids=[reason for _, reason in LEFT_OUT])
def test_with_raises_what_json_has_no_form_for_is_refused_by_name(wrong: dict[str, Any], reason: str) -> None:
    strict = Client("http://127.0.0.1:1", model="m", model_version="1", raises=True)
    with pytest.raises(InvalidEvent, match=re.escape(reason)):
        strict.log(**{"features": {}, "prediction": 1, **wrong})
    assert lost(strict) == {"invalid": 1}


def test_values_as_models_have_them_become_json() -> None:
    event = {
        "prediction": np.int64(3),
        "features": {
            "a": np.float32(0.5), "b": np.bool_(True), "c": float("nan"), "d": np.float64("nan"),
            "e": float("-inf"), "f": None, "g": np.str_("x"), "h": np.array([7]),
        },
        "probability": {"yes": np.float64(0.25)}, "metadata": None,
    }  # fmt: skip
    assert json.loads(encoded(event)) == {
        "prediction": 3,
        "features": {"a": 0.5, "b": True, "c": None, "d": None, "e": "-Infinity", "f": None, "g": "x", "h": 7},
        "probability": {"yes": 0.25},
    }


def test_with_raises_flush_and_the_end_say_what_was_lost() -> None:
    with server(answering(400, b'{"detail": "no such thing"}')) as found:
        client = client_of(found, raises=True)
        client.log({}, 1)
        with pytest.raises(Undelivered, match="1 events were not delivered; the last one: 400 no such thing"):
            client.flush()
        client.flush()
        with pytest.raises(Undelivered), client:
            client.log({}, 1)
        other = client_of(found, raises=True)
        with pytest.raises(KeyError), other:
            log_and_fail(other)


def log_and_fail(client: Client) -> None:
    client.log({}, 1)
    raise KeyError("the caller's own comes first")


def alerts(found: Receiver) -> list[dict[str, Any]]:
    return [json.loads(one.body) for one in found.requests if "POST /alerts " in one.line]


def test_an_alert_is_sent_by_itself_and_again_under_its_name_until_it_is_taken() -> None:
    away = answering(503, b'{"detail": "no Kafka"}', Retry_After="0")
    with server(accepting, away, accepting) as found:
        with client_of(found, flush_seconds=60) as client:
            client.log({"x": 1}, 1)
            given = {"table": "orders", "rows": np.int64(0), "day": date(2026, 6, 1), "lost": ["no value"]}
            named = client.send_alert("load failed", ValueError("no rows"), "error", given, dedupe_key=7)
            unnamed = client.send_alert("one", model="other")
            client.send_alert("load failed", dedupe_key="7", status="resolved", model="", expires_after=60)
        first, again, second, end = alerts(found)
        assert first == again == {
            "title": "load failed", "message": "no rows", "level": "error", "dedupe_key": "7", "status": "firing",
            "metadata": {"table": "orders", "rows": 0, "day": "2026-06-01"}, "model": "m", "model_version": "1",
        }  # fmt: skip
        assert second == {
            "title": "one", "message": "", "level": "warning", "dedupe_key": unnamed, "status": "firing",
            "expires_after": 3600.0, "model": "other",
        }  # fmt: skip
        assert (end["status"], end["expires_after"], "model" in end) == ("resolved", 60, False)
        assert named == "7" == end["dedupe_key"] != unnamed
        assert lost(client) == {}
        assert (client.stats.sent, client.stats.left_out) == (4, {"metadata.lost": 1})


def test_an_alert_that_cannot_be_sent_is_counted_and_never_raises(caplog: pytest.LogCaptureFixture) -> None:
    told: list[Loss] = []
    with server(answering(422, b'{"detail": "title: must have 1 to 200 characters"}')) as found:
        with client_of(found, on_loss=told.append) as client:
            client.send_alert("")
            client.send_alert("x", level=["error"])  # type: ignore[arg-type]
            client.send_alert(Unreadable(), Unreadable(), metadata=3)  # type: ignore[arg-type]
        client.send_alert("late", dedupe_key="late")
        assert lost(client) == {"invalid": 1, "rejected": 2, "closed": 1}
        assert {one.path for one in told} == {"/alerts"}
        assert told[-1].prediction_id == "late"
        assert warnings(caplog)[0].startswith("/alerts: level: list is no number, text")
        strict = client_of(found, raises=True)
        with pytest.raises(InvalidEvent, match=r"metadata\.x"):
            strict.send_alert("x", metadata={"x": ["y"]})
        strict.send_alert("")
        with pytest.raises(Undelivered, match="422 title"):
            strict.flush()


class Unreadable:
    """A value whose own methods fail."""

    def __str__(self) -> str:
        raise RuntimeError("the caller's own trouble")


def test_predict_asks_again_under_one_id_and_answers() -> None:
    with server(answering(503, b"{}", Retry_After="0"), answering(200, b'{"prediction": 1}')) as found:
        client = client_of(found)
        assert client.predict({"age": np.int64(30)}) == {"prediction": 1}
        asked = [json.loads(one.body) for one in found.requests]
        assert asked[0] == asked[1]
        assert asked[0]["features"] == {"age": 30}
        client.predict(pd.Series({"age": 1}), request_id="mine")
        assert json.loads(found.requests[-1].body)["request_id"] == "mine"


def test_predict_that_fails_is_none_or_raises_when_asked() -> None:
    with server(answering(400, b'{"detail": "missing features: age"}')) as found:
        assert client_of(found).predict({}) is None
        with pytest.raises(PredictFailed, match="missing features: age") as failed:
            client_of(found, raises=True).predict({})
        assert failed.value.status == 400
    with server(hanging) as found:
        started = time.monotonic()
        assert client_of(found).predict({}, timeout=0.2) is None
        assert time.monotonic() - started < 3


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_child_process_sends_its_own_and_no_event_twice() -> None:
    code = """if True:
        import os, sys
        from driftline import Client
        client = Client(sys.argv[1], model="m", model_version="1", flush_seconds=60)
        client.log({}, 1, prediction_id="parent")
        child = os.fork()
        client.log({}, 1, prediction_id="child" if child == 0 else "parent-2")
        client.close()
        if child == 0:
            os._exit(0)
        os.waitpid(child, 0)
    """
    with server(accepting) as found:
        subprocess.run([sys.executable, "-c", code, found.origin], check=True, timeout=60)
        assert sorted(event["prediction_id"] for event in events(found)) == ["child", "parent", "parent-2"]


def test_a_program_that_ends_without_closing_sends_what_waits() -> None:
    code = """if True:
        import sys
        from driftline import Client
        Client(sys.argv[1], model="m", model_version="1", flush_seconds=60).log({}, 1, prediction_id="last")
    """
    with server(accepting) as found:
        subprocess.run([sys.executable, "-c", code, found.origin], check=True, timeout=60)
        assert [event["prediction_id"] for event in events(found)] == ["last"]


def test_a_loss_is_told_in_the_log_without_feature_values_and_not_each_time(caplog: pytest.LogCaptureFixture) -> None:
    def fails(_: Loss) -> None:
        raise RuntimeError("the caller's own trouble")

    client = Client("http://127.0.0.1:1", model="m", model_version="1", on_loss=fails)
    for _ in range(3):
        client.log({"x": ["secret-value"], "z": "secret-value\ud800"}, ["secret-value"])
    client.flush()
    assert [one.partition(": list")[0] for one in warnings(caplog)] == ["/predictions: prediction"]
    client.log({"x": ["secret-value"], "z": "secret-value\ud800"}, 1)
    client.close(0)
    assert [one.partition(": ")[2].partition(":")[0] for one in warnings(caplog)[1:3]] == ["features.x", "features.z"]
    assert "secret-value" not in caplog.text


# The real API, and a real Kafka


async def test_all_arrives_though_the_api_comes_later(settings: Settings) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as probe:
        port = probe.getsockname()[1]
    settings = settings.model_copy(update={"api_port": port})
    url = f"http://127.0.0.1:{port}"
    told: list[Loss] = []
    with Client(url, model="m", model_version="1", flush_seconds=0.01, timeout=5, on_loss=told.append) as client:
        ids = [client.log({"x": i}, "yes", probability=0.5) for i in range(1000)]
        for one in ids:
            client.feedback(one, "no")
        name = client.send_alert("load failed", "orders is empty", "error", {"table": "orders"})
        client.send_alert("load failed", dedupe_key=name, status="resolved")
        with worker(settings, "api", ("-m", "app.cli", "api")):
            assert await asyncio.to_thread(client.flush, 60)
            wrong = client.log({"x": 1}, "yes", timestamp=1.7e12)
            assert await asyncio.to_thread(client.flush)
    assert client.stats.retries > 0
    assert client.stats.sent == 2002
    assert lost(client) == {"rejected": 1}
    assert [(loss.prediction_id, loss.reason.partition(":")[0]) for loss in told] == [(wrong, "timestamp")]
    predictions = [msgspec.json.decode(r.value, type=PredictionEvent) for r in await records_of(settings, PREDICTIONS)]
    assert {event.prediction_id: event.features["x"] for event in predictions} == {one: i for i, one in enumerate(ids)}
    feedback = [msgspec.json.decode(r.value, type=FeedbackEvent) for r in await records_of(settings, FEEDBACK)]
    assert {event.prediction_id for event in feedback} == set(ids)
    fired = [msgspec.json.decode(r.value, type=AlertEvent) for r in await records_of(settings, ALERTS)]
    assert [(one.status, one.level, one.labels["subject"], one.labels["model"]) for one in fired] == [
        ("firing", "error", name, "m"), ("resolved", "error", name, "m"),
    ]  # fmt: skip
    assert fired[0].evidence == {"metadata": {"table": "orders"}}
