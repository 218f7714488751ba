"""Format of log lines: text for people, or JSON objects with the ids that a line is about.

Fields that a caller gives as `extra` are shown only if they are in FIELDS: no feature's value is logged by accident.
"""

from __future__ import annotations

import logging
import sys
from typing import Literal

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from app.telemetry.printable import one_line, printable

Form = Literal["text", "json"]

FIELDS = (
    "agent", "alert_id", "channel", "model", "model_version", "notification_id", "offset", "partition",
    "records", "silence_id", "status", "topic", "trace_id",
)  # fmt: skip
"""Fields that a line may have in addition to its message."""
NOISY = ("alembic", "faust", "mode", "aiokafka", "kafka", "opentelemetry")
"""Libraries whose INFO lines are left out. Their DEBUG lines, with values and passwords in transit, always are."""
TELLTALE = ("httpx", "httpcore", "urllib3", "requests")
"""Libraries that log whole addresses at INFO or DEBUG: addresses of webhooks contain secrets."""


def set_up(level: str, form: Form) -> None:
    """Log to standard error from now on. Of this product's own lines, log all at `level` and above."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter_of(form))
    logging.basicConfig(level=level, handlers=[handler])
    for noisy in NOISY:
        logging.getLogger(noisy).setLevel({"DEBUG": "INFO", "INFO": "WARNING"}.get(level, level))
    for telltale in TELLTALE:
        logging.getLogger(telltale).setLevel("ERROR" if level == "ERROR" else "WARNING")


def formatter_of(form: Form) -> logging.Formatter:
    """Return the formatter of a form."""
    shared: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(FIELDS),
        structlog.processors.TimeStamper("iso" if form == "json" else "%Y-%m-%d %H:%M:%S.%f", utc=form == "json"),
        _traced,
    ]
    last: Processor = structlog.processors.JSONRenderer(sort_keys=True) if form == "json" else _as_text
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta, structlog.processors.format_exc_info, last,
        ],
    )  # fmt: skip


def _traced(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Add the id of the trace that a line belongs to, if there is one."""
    if "opentelemetry.trace" in sys.modules:
        from opentelemetry import trace

        context = trace.get_current_span().get_span_context()
        if context.is_valid:
            event["trace_id"] = f"{context.trace_id:032x}"
    return event


def _as_text(_: WrappedLogger, __: str, event: EventDict) -> str:
    """Return `time LEVEL logger: words`. Fields whose value is in the words are not repeated."""
    words, exception = one_line(str(event.pop("event"))), printable(event.pop("exception", ""))
    head = f"{event.pop('timestamp')} {str(event.pop('level')).upper()} {event.pop('logger')}: {words}"
    shown = {name: one_line(str(value)) for name, value in event.items()}
    rest = " ".join(f"{name}={value}" for name, value in shown.items() if value not in words)
    return head + (f" [{rest}]" if rest else "") + (f"\n{exception}" if exception else "")
