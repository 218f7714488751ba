"""Traces from request to notification, in OpenTelemetry's form. Off, and without cost, unless an endpoint is set.

The context is sent as `traceparent` (W3C Trace Context) in the headers of HTTP and of Kafka's records. A batch of
records has one span, and only if something was sent because of it. The span's parent is the newest context of the
batch; the other contexts are links.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections import OrderedDict
from collections.abc import Collection, Iterator, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Span, SpanContext, Tracer

HEADER = "traceparent"
MOST_LINKS = 32
MOST_ALERTS = 1000
FLUSH_MS = 1000
"""Milliseconds in which the remaining spans are sent when the process ends."""
PATH = "/v1/traces"

Headers = Sequence[tuple[str, bytes | None]]

_FORM = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
_tracer: Tracer | None = None
_provider: Any = None


def set_up(service: str, endpoint: str | None, exporter: SpanExporter | None = None) -> None:
    """Trace from now on, as `service`, to an OTLP endpoint (its base, or the whole address), or to an exporter.

    The sampler and the batches are those of OpenTelemetry's own variables (`OTEL_TRACES_SAMPLER`, `OTEL_BSP_…`).
    """
    global _tracer, _provider
    if endpoint is None and exporter is None:
        return
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    if exporter is None:
        address = str(endpoint).rstrip("/")
        exporter = OTLPSpanExporter(endpoint=address if address.endswith(PATH) else address + PATH)
    # its own end at exit would wait for a missing collector
    _provider = TracerProvider(resource=Resource.create({"service.name": service}), shutdown_on_exit=False)
    _provider.add_span_processor(BatchSpanProcessor(exporter))
    _tracer = _provider.get_tracer("driftline")


def close() -> None:
    """Send the remaining spans, in bounded time, and trace no more."""
    global _tracer, _provider
    if _provider is not None:
        _provider.force_flush(FLUSH_MS)
    _tracer = _provider = None


def is_on() -> bool:
    """Return whether tracing is on."""
    return _tracer is not None


class TracedBatch:
    """One batch of records in an agent. Its span begins when a record is first sent because of it, or never."""

    def __init__(self, name: str, contexts: Sequence[SpanContext], attributes: dict[str, str | int]) -> None:
        self._name = name
        self._contexts = contexts
        self._attributes = attributes
        self._began = time.time_ns()
        self.span: Span | None = None

    @property
    def newest(self) -> SpanContext | None:
        """Return the context of the newest record, which is the parent of the batch's span."""
        return self._contexts[-1] if self._contexts else None

    def begun(self) -> Span | None:
        """Return the span, which begins at the first call; None where nothing is traced."""
        if self.span is None and self._contexts and _tracer is not None:
            self.span = _started(self._name, self._contexts, self._attributes, self._began)
        return self.span


_run: ContextVar[TracedBatch | None] = ContextVar("run", default=None)
_alerts: OrderedDict[str, SpanContext] = OrderedDict()
"""Contexts of alerts by fingerprint, so that each notification is in the traces of its own alerts."""


def headers() -> list[tuple[str, bytes]]:
    """Return the trace headers for a record that is sent now."""
    if _tracer is None:
        return []
    from opentelemetry import trace

    run = _run.get()
    span = trace.get_current_span() if run is None else run.begun()
    context = None if span is None else span.get_span_context()
    if context is None or not context.is_valid or not context.trace_flags.sampled:
        return []
    return [(HEADER, f"00-{context.trace_id:032x}-{context.span_id:016x}-01".encode())]


def exemplar() -> dict[str, str] | None:
    """Return the trace of what is handled now, as in OpenMetrics' exemplars; None where there is none."""
    if _tracer is None:
        return None
    from opentelemetry import trace

    run = _run.get()
    context = trace.get_current_span().get_span_context() if run is None else run.newest
    if context is None or not context.is_valid or not context.trace_flags.sampled:
        return None
    return {"trace_id": f"{context.trace_id:032x}"}


def context_of(found: bytes | str | None) -> SpanContext | None:
    """Return a traceparent as a context; None where there is none, or it is not sampled."""
    from opentelemetry.trace import SpanContext, TraceFlags

    text = found.decode("ascii", "replace") if isinstance(found, bytes) else found or ""
    match = _FORM.fullmatch(text)
    if match is None or not int(match[3], 16) & TraceFlags.SAMPLED:
        return None
    context = SpanContext(int(match[1], 16), int(match[2], 16), is_remote=True, trace_flags=TraceFlags(1))
    return context if context.is_valid else None


def contexts_of(run: Sequence[Any]) -> list[SpanContext]:
    """Return the newest distinct contexts of a batch's records, oldest first."""
    found: dict[bytes, None] = {}
    for record in reversed(run):
        for name, value in record.headers or ():
            if name == HEADER and value:
                found[value] = None
        if len(found) >= MOST_LINKS:
            break
    return [context for value in reversed(found) if (context := context_of(value)) is not None]


class BatchTraces:
    """Contexts that led to the work of a worker's agents. They are kept, within a bound, until something is sent."""

    def __init__(self) -> None:
        self._waiting: dict[tuple[str, int], list[SpanContext]] = {}

    @contextlib.contextmanager
    def handling(self, agent: str, partition: int, records: Sequence[Any]) -> Iterator[None]:
        """Trace what an agent sends because of a batch: sent records carry the context of the batch."""
        if _tracer is None:
            yield
            return
        key = agent, partition
        waiting = [*self._waiting.get(key, ()), *contexts_of(records)][-MOST_LINKS:]
        if not waiting:
            yield
            return
        self._waiting[key] = waiting
        current = TracedBatch(agent, waiting, {"messaging.system": "kafka", "driftline.partition": partition,
                                       "messaging.batch.message_count": len(records)})  # fmt: skip
        token = _run.set(current)
        try:
            yield
        finally:
            _run.reset(token)
            if current.span is not None:
                current.span.end()
                self._waiting.pop(key, None)

    def forget(self, partitions: Collection[int]) -> None:
        """Forget the contexts of partitions that change hands."""
        for key in [key for key in self._waiting if key[1] in partitions]:
            del self._waiting[key]


def remember_alerts(records: Sequence[Any]) -> None:
    """Keep the context of each alert until a notification of it is sent."""
    if _tracer is None:
        return
    for record in records:
        context = context_of(dict(record.headers or ()).get(HEADER))
        if context is not None:
            _alerts[(record.key or b"").decode(errors="replace")] = context
    while len(_alerts) > MOST_ALERTS:
        _alerts.popitem(last=False)


@contextlib.contextmanager
def delivering(channel: str, notification: str, fingerprints: Sequence[str]) -> Iterator[dict[str, str]]:
    """Trace one delivery attempt in a span. The yielded mapping's entries become its attributes."""
    told: dict[str, str] = {}
    contexts = [_alerts[name] for name in fingerprints if name in _alerts]
    if _tracer is None or not contexts:
        yield told
        return
    attributes: dict[str, str | int] = {"driftline.channel": channel, "driftline.notification_id": notification}
    span = _started(f"deliver {channel}", contexts[-MOST_LINKS:], attributes, time.time_ns())
    try:
        yield told
    finally:
        for name, value in told.items():
            span.set_attribute(f"driftline.{name}", value)
        span.end()


@contextlib.contextmanager
def aside() -> Iterator[None]:
    """Send records in this context without the trace of the batch that is handled."""
    token = _run.set(None)
    try:
        yield
    finally:
        _run.reset(token)


def _started(name: str, contexts: Sequence[SpanContext], attributes: dict[str, str | int], began: int) -> Span:
    from opentelemetry import trace

    assert _tracer is not None
    *others, newest = contexts
    parent = trace.set_span_in_context(trace.NonRecordingSpan(newest))
    return _tracer.start_span(
        name, parent, trace.SpanKind.CONSUMER, attributes, [trace.Link(one) for one in others], began
    )


@contextlib.contextmanager
def request(method: str, parent: bytes | None) -> Iterator[Span]:
    """Trace a request in a span that is current within this context; only where tracing is on."""
    from opentelemetry import trace

    assert _tracer is not None
    context = context_of(parent)
    remote = None if context is None else trace.set_span_in_context(trace.NonRecordingSpan(context))
    attributes = {"http.request.method": method}
    # an error's message may contain values of features
    with _tracer.start_as_current_span(
        method, remote, trace.SpanKind.SERVER, attributes, record_exception=False, set_status_on_exception=False
    ) as span:
        yield span
