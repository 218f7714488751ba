"""docs/reference/metrics.md: every metric, with its labels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from prometheus_client import CollectorRegistry

from app.telemetry.metrics import API, RECORDER, WORKER

OURS = "driftline_"
HEAD = """# Metrics

A worker shows them at `/metrics` when `metrics_port` is set, a recorder when `recorder_metrics_port` is, the API
always, in Prometheus' text format. Of a histogram there are `…_bucket`, `…_sum` and `…_count`. Beside these there are
`process_…` (memory, CPU, open files) and `python_gc_…` of each process.

A label's values are bounded: at most 200 model versions, 2,000 label sets of features and of metrics, 64 partitions of
a topic and 50 reasons or channels for each process. Of the first two, those that were set longest ago are left out; of
the others, what is beyond is `other`.
"""


class Told(NamedTuple):
    """One metric in the reference; `names` are those of its samples."""

    name: str
    kind: str
    labels: tuple[str, ...]
    words: str

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names that a query may use."""
        if self.kind == "histogram":
            return tuple(f"{self.name}_{part}" for part in ("bucket", "sum", "count"))
        return (self.name,)


def told(registry: CollectorRegistry) -> Iterator[Told]:
    """Yield Driftline's metrics of a process, in the order of their declaration."""
    for collector in registry._collector_to_names:
        name = str(getattr(collector, "_name", ""))
        if name.startswith(OURS):
            kind = str(getattr(collector, "_type", ""))
            shown = f"{name}_total" if kind == "counter" else name
            labels = tuple(getattr(collector, "_labelnames", ()))
            yield Told(shown, kind, labels, str(getattr(collector, "_documentation", "")))


def page() -> str:
    """Return the page."""
    return "\n".join(
        [
            HEAD,
            "## Workers\n",
            *_table(WORKER),
            "\n## The recorder\n",
            *_table(RECORDER),
            "\n## The API\n",
            *_table(API),
            "",
        ]
    )


def _table(registry: CollectorRegistry) -> list[str]:
    rows = [
        f"| `{one.name}` | {one.kind} | {', '.join(f'`{label}`' for label in one.labels) or '–'} | {one.words} |"
        for one in told(registry)
    ]
    return ["| metric | kind | labels | |", "|---|---|---|---|", *rows]
