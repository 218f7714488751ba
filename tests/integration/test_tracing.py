"""One trace from a request to the notification, through a real Kafka, a worker process and an OTLP receiver."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import msgspec
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from app.settings.settings import Settings
from app.telemetry import tracing
from tests.support.api import client_of, ready
from tests.support.stream import MODEL, PANE, START, VERSION, frame, register_model, send, worker
from tests.support.worker_process import log_of

TRACE = "0af7651916cd43dd8448eb211c80319c"


class Collector:
    """An OTLP receiver: every span by its name, with the service that sent it."""

    def __init__(self) -> None:
        self.spans: list[tuple[str, Span]] = []
        self._more = threading.Condition()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.path == "/v1/traces":
                    collector.take(ExportTraceServiceRequest.FromString(body))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def take(self, request: ExportTraceServiceRequest) -> None:
        with self._more:
            for resource in request.resource_spans:
                service = next(a.value.string_value for a in resource.resource.attributes if a.key == "service.name")
                self.spans += [(service, span) for scope in resource.scope_spans for span in scope.spans]
            self._more.notify_all()

    def wait_for(self, name: str, seconds: float) -> bool:
        with self._more:
            return self._more.wait_for(lambda: any(span.name == name for _, span in self.spans), seconds)


@pytest.fixture
def collector(direct: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
    found = Collector()
    yield found
    found.server.shutdown()
    found.server.server_close()


def drifted() -> list[dict[str, object]]:
    """Predictions of an hour whose size is five times what it was."""
    rows = frame(1500, 9).to_dict("records")
    return [
        {
            "prediction_id": f"t{i}", "model": MODEL, "model_version": VERSION,
            "timestamp": START + i * 40 * PANE / len(rows), "prediction": row["prediction"],
            "features": {"size": 5 * float(str(row["size"])) + 3, "colour": row["colour"]},
            "probability": row["probability"],
        }
        for i, row in enumerate(rows)
    ]  # fmt: skip


async def test_a_trace_goes_from_the_request_to_the_notification(settings: Settings, collector: Collector) -> None:
    changed = {"otlp_endpoint": collector.address, "log_format": "json", "group_wait_seconds": 0.0}
    settings = settings.model_copy(update=changed)
    with worker(settings):
        async with client_of(settings) as client:
            tracing.set_up("driftline-api", collector.address)
            try:
                await ready(client)
                await register_model(settings)
                caller = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01", "content-type": "application/json"}
                answer = await client.post("/predictions", content=msgspec.json.encode(drifted()), headers=caller)
                assert answer.status_code == 202, answer.text
            finally:
                tracing.close()
        await send(settings, [])  # a heartbeat: the windows end
        for channel in ("file", "log"):
            assert await asyncio.to_thread(collector.wait_for, f"deliver {channel}", 60), log_of(settings)
    ours = {span.span_id: (service, span) for service, span in collector.spans if span.trace_id.hex() == TRACE}
    names = {(service, span.name) for service, span in ours.values()}
    assert {
        ("driftline-api", "POST /predictions"), ("driftline-worker", "join"), ("driftline-worker", "windows"),
        ("driftline-worker", "alerts"), ("driftline-worker", "deliver file"),
    } <= names  # fmt: skip
    path, at = [], next(span for _, span in ours.values() if span.name == "deliver file")
    while True:
        path.append(at.name)
        if at.parent_span_id not in ours:
            break
        at = ours[at.parent_span_id][1]
    assert path == ["deliver file", "alerts", "windows", "join", "POST /predictions"]
    logs = [log.read_text() for log in settings.state_dir.glob("*.log")]  # whole: `log_of` has their ends alone
    lines = [json.loads(line) for text in logs for line in text.splitlines() if line.startswith("{")]
    told = [line for line in lines if line["logger"] == "driftline.alerts"]
    assert told
    assert all(line["alert_id"] and line["model"] == MODEL for line in told)
