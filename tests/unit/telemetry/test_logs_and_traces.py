"""Log lines with their ids and without values; traces from a request to a notification."""

from __future__ import annotations

import json
import logging
import socket
import sys
from collections.abc import Callable, Iterator
from typing import Any, cast

import httpx
import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from starlette.types import Message, Receive, Scope, Send

from agents.agent import Agent
from agents.output import Output
from api.http.traced_requests import TracedRequests
from app.faust_batches.batch import Batch
from app.kafka.errors import StateLost, without_values
from app.telemetry import metrics, tracing
from app.telemetry.logs import formatter_of
from app.telemetry.probe import Probe
from app.telemetry.stream import StreamMetrics
from app.worker.instrumented import MeasuredAgent, TracedAgent
from tests.support.reports import StubRecord
from topics.registry import PREDICTIONS, Topic

TRACE, OTHER = "0af7651916cd43dd8448eb211c80319c", "1af7651916cd43dd8448eb211c80319c"


def record_of(words: str, *arguments: object, **extra: object) -> logging.LogRecord:
    record = logging.LogRecord("agents.join.agent", logging.WARNING, __file__, 1, words, arguments, None)
    record.__dict__.update(extra)
    return record


def test_a_json_line_has_its_ids_and_nothing_that_is_not_asked_for() -> None:
    record = record_of("%d records: %s", 2, "late", topic="predictions", offset=7, features={"age": 30})
    line = json.loads(formatter_of("json").format(record))
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "2 records: late", "level": "warning", "logger": "agents.join.agent",
        "topic": "predictions", "offset": 7,
    }  # fmt: skip


def test_a_text_line_says_what_its_words_do_not() -> None:
    words = formatter_of("text").format(record_of("alert a-1 fires", alert_id="a-1", channel="slack", age=30))
    assert words.partition(" WARNING ")[2] == "agents.join.agent: alert a-1 fires [channel=slack]"


@pytest.mark.parametrize("form", ["json", "text"])
def test_an_error_is_logged_with_its_traceback(form: Any) -> None:
    try:
        raise ValueError("broken")
    except ValueError:
        record = record_of("it failed")
        record.exc_info = sys.exc_info()
    assert "ValueError: broken" in formatter_of(form).format(record)


@pytest.fixture
def exporter() -> Iterator[InMemorySpanExporter]:
    found = InMemorySpanExporter()
    tracing.set_up("test", None, found)
    yield found
    tracing.close()


def traced_record(trace: str, offset: int = 0, flags: str = "01", key: bytes = b"key") -> StubRecord:
    headers = [("traceparent", f"00-{trace}-b7ad6b7169203331-{flags}".encode())]
    return StubRecord(offset, b"{}", key, headers=headers)


def spans(exporter: InMemorySpanExporter) -> dict[str, ReadableSpan]:
    assert tracing._provider.force_flush()
    return {span.name: span for span in exporter.get_finished_spans()}


class Step(Agent):
    """Does what a test wants with each batch."""

    name, inputs = "join", (PREDICTIONS,)

    def __init__(self, act: Callable[[Batch], None]) -> None:
        self._act = act

    def position(self, topic: Topic, partition: int) -> int:
        return 0

    async def handle(self, batch: Batch, out: Output) -> None:
        self._act(batch)


def batch(*records: StubRecord, caught_up: bool = False) -> Batch:
    return Batch(PREDICTIONS, 0, records, caught_up=caught_up)


NOWHERE = cast("Output", None)
"""These agents send nothing."""


async def test_nothing_is_traced_and_nothing_is_carried_when_it_is_off() -> None:
    traces, handled = tracing.BatchTraces(), list[Batch]()
    await TracedAgent(Step(handled.append), traces).handle(batch(traced_record(TRACE)), NOWHERE)
    tracing.remember_alerts([traced_record(TRACE, key=b"off")])
    assert (len(handled), traces._waiting, b"off".decode() in tracing._alerts) == (1, {}, False)
    assert tracing.headers() == []


async def test_a_run_has_one_span_when_something_is_sent_of_it(exporter: InMemorySpanExporter) -> None:
    carried: list[list[tuple[str, bytes]]] = []

    def act(batch: Batch) -> None:
        if batch.caught_up:  # a batch that is only counted sends nothing
            carried.append(tracing.headers())
            carried.append(tracing.headers())

    traced = TracedAgent(Step(act), tracing.BatchTraces())
    await traced.handle(batch(traced_record(OTHER), traced_record(OTHER, 1), traced_record("2" * 32, 2, "00")), NOWHERE)
    await traced.handle(batch(StubRecord(3, b"{}"), traced_record(TRACE, 4)), NOWHERE)
    assert spans(exporter) == {}
    await traced.handle(batch(caught_up=True), NOWHERE)
    await traced.handle(batch(caught_up=True), NOWHERE)  # nothing waits any more
    (span,) = spans(exporter).values()
    assert span.context is not None
    assert span.parent is not None
    assert f"{span.context.trace_id:032x}" == TRACE
    assert [f"{link.context.trace_id:032x}" for link in span.links] == [OTHER]
    header = f"00-{TRACE}-{span.context.span_id:016x}-01".encode()
    assert carried == [[("traceparent", header)], [("traceparent", header)], [], []]


async def test_what_did_not_come_of_a_run_does_not_carry_its_context(exporter: InMemorySpanExporter) -> None:
    def act(_: Batch) -> None:
        with tracing.aside():
            assert tracing.headers() == []

    await TracedAgent(Step(act), tracing.BatchTraces()).handle(batch(traced_record(TRACE), caught_up=True), NOWHERE)
    assert spans(exporter) == {}


async def test_an_attempt_to_tell_is_in_the_trace_of_its_alert(exporter: InMemorySpanExporter) -> None:
    tracing.remember_alerts([traced_record(TRACE, key=b"fingerprint")])
    with tracing.delivering("slack", "n-1", ["fingerprint", "unknown"]) as told:
        told["outcome"] = "delivered"
    with tracing.delivering("slack", "n-2", ["unknown"]):
        pass
    (span,) = spans(exporter).values()
    assert span.name == "deliver slack"
    assert span.context is not None
    assert f"{span.context.trace_id:032x}" == TRACE
    assert dict(span.attributes or {}) == {
        "driftline.channel": "slack", "driftline.notification_id": "n-1", "driftline.outcome": "delivered",
    }  # fmt: skip


async def test_a_request_is_in_its_callers_trace_and_probes_are_not_traced(exporter: InMemorySpanExporter) -> None:
    carried: list[tuple[str, bytes]] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        carried.extend(tracing.headers())
        scope["route"] = type("Route", (), {"path": "/models/{model}"})
        await send({"type": "http.response.start", "status": 202})
        raise ValueError("the age is 30")

    async def send(_: Message) -> None: ...

    async def receive() -> Message:
        return {}

    headers = [(b"traceparent", traced_record(TRACE).headers[0][1])]
    scope = {"type": "http", "method": "POST", "path": "/predictions", "headers": headers}
    with pytest.raises(ValueError, match="30"):
        await TracedRequests(app)(scope, receive, send)
    with pytest.raises(ValueError, match="30"):
        await TracedRequests(app)({**scope, "path": "/health"}, receive, send)
    (span,) = spans(exporter).values()
    assert span.context is not None
    assert f"{span.context.trace_id:032x}" == TRACE
    assert carried == [("traceparent", f"00-{TRACE}-{span.context.span_id:016x}-01".encode())]
    assert "the age" not in span.to_json()
    assert dict(span.attributes or {})["http.response.status_code"] == 202


@pytest.mark.parametrize("text", ["", "00-x", f"00-{'0' * 32}-b7ad6b7169203331-01", f"00-{TRACE}-{'0' * 16}-01", None])
def test_what_is_no_context_is_none(text: str | None) -> None:
    assert tracing.context_of(text) is None


def test_an_error_s_words_are_told_where_they_were_made_for_a_log() -> None:
    def told_of(error: Exception) -> str:
        try:
            raise error
        except Exception as raised:  # noqa: BLE001
            return without_values(raised)

    assert told_of(ValueError("could not convert 'canary'")).startswith(f"ValueError at {__file__}:")
    assert told_of(StateLost("partition 3 is gone")).startswith(f"StateLost: partition 3 is gone at {__file__}:")
    assert told_of(FileNotFoundError(2, "no such file", "x")).startswith("FileNotFoundError: [Errno 2]")


async def test_latencies_have_the_trace_that_they_were_measured_in(exporter: InMemorySpanExporter) -> None:
    """By the form that Prometheus scrapes, read by the client library's own parser."""
    assert tracing.exemplar() is None

    measured = MeasuredAgent(Step(lambda _: None), StreamMetrics())
    await TracedAgent(measured, tracing.BatchTraces()).handle(batch(traced_record(TRACE)), NOWHERE)
    listening = socket.create_server(("127.0.0.1", 0))
    async with (
        Probe(listening, metrics.WORKER, lambda: None, lambda: (True, {})) as probe,
        httpx.AsyncClient() as client,
    ):
        accept = {"Accept": "application/openmetrics-text; version=1.0.0"}
        found = await client.get(f"{probe.address}/metrics", headers=accept)
        plain = await client.get(f"{probe.address}/metrics")
    assert found.headers["content-type"].startswith("application/openmetrics-text")
    families = text_string_to_metric_families(found.text)  # type: ignore[no-untyped-call]
    samples = [sample for family in families for sample in family.samples]
    traces = [s.exemplar.labels for s in samples if s.exemplar and s.labels.get("agent") == "join"]
    assert traces == [{"trace_id": TRACE}]
    assert TRACE not in plain.text
