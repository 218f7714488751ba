"""How log lines look: text for people, or JSON objects with the ids that a line is about.

What a caller gives as `extra` is shown only where it is one of FIELDS: no feature's value gets in by accident.
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
"""What a line may say beside its words."""
NOISY = ("alembic", "faust", "mode", "aiokafka", "kafka", "opentelemetry")
"""Libraries whose news is left out at INFO. What they tell at DEBUG, values and passwords as they travel, always is."""
TELLTALE = ("httpx", "httpcore", "urllib3", "requests")
"""Libraries that tell whole addresses at INFO or DEBUG: in those of webhooks there are secrets."""


def set_up(level: str, form: Form) -> None:
    """Log to standard error from now on, of our own all that `level` asks for."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter_of(form))
    logging.basicConfig(level=level, handlers=[handler])
    for noisy in NOISY:
        logging.getLogger(noisy).setLevel({"DEBUG": "INFO", "INFO": "WARNING"}.get(level, level))
    for telltale in TELLTALE:
        logging.getLogger(telltale).setLevel("ERROR" if level == "ERROR" else "WARNING")


def formatter_of(form: Form) -> logging.Formatter:
    """The formatter of a form."""
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
    """The trace that a line belongs to, where there is one."""
    if "opentelemetry.trace" in sys.modules:
        from opentelemetry import trace

        context = trace.get_current_span().get_span_context()
        if context.is_valid:
            event["trace_id"] = f"{context.trace_id:032x}"
    return event


def _as_text(_: WrappedLogger, __: str, event: EventDict) -> str:
    """`time LEVEL logger: words`; what stands in the words already is not said again."""
    words, exception = one_line(str(event.pop("event"))), printable(event.pop("exception", ""))
    head = f"{event.pop('timestamp')} {str(event.pop('level')).upper()} {event.pop('logger')}: {words}"
    shown = {name: one_line(str(value)) for name, value in event.items()}
    rest = " ".join(f"{name}={value}" for name, value in shown.items() if value not in words)
    return head + (f" [{rest}]" if rest else "") + (f"\n{exception}" if exception else "")
