"""A backlog is judged as it would have been live: no window without the truth that lay in the log when it closed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import msgspec
import pytest

from app.kafka.topics import ensure_topics
from app.settings.settings import Settings
from tests.support.kafka_topics import records_of
from tests.support.stream import PANE, START, Truth, register_model, send, truth, until_equal, worker
from topics.events import AnyReport, PerformanceReport
from topics.registry import FEEDBACK, PREDICTIONS, REPORTS

PEOPLE = 6_000
PART = 300.0
"""Seconds of predictions that come before their feedback: a window's length."""


def in_order(wanted: Truth) -> Iterator[list[tuple[str, bytes, bytes]]]:
    """The records by the parts that their predictions are of: of each its predictions, then its feedback."""
    parts: dict[tuple[int, str], list[tuple[str, bytes, bytes]]] = {}
    for record in wanted.records:
        topic, key, _ = record
        seconds = int(key.split(b"-")[1]) * 3600 / PEOPLE
        parts.setdefault((int(seconds // PART), topic), []).append(record)
    for part in range(int(3600 // PART)):
        yield parts[part, PREDICTIONS.name]
        yield parts[part, FEEDBACK.name]


def there_when_closed(wanted: Truth) -> dict[float, int]:
    """Of each window, by its end, the truth that comes before the prediction that closes it."""
    answered = Counter[float]()
    for (pane, _), count in wanted.confusion.items():
        answered[pane] += count
    found = {}
    for end in (pane + PANE for pane in wanted.panes):
        first = START + (end - START) // PART * PART  # of the part that has the closing prediction
        found[end] = sum(n for pane, n in answered.items() if end - 5 * PANE <= pane < min(end, first))
    return found


@pytest.mark.timeout(120)
async def test_a_window_is_not_judged_before_the_truth_that_was_there_when_it_closed(settings: Settings) -> None:
    await ensure_topics(settings)
    await register_model(settings)
    wanted = truth(PEOPLE)
    for part in in_order(wanted):
        await send(settings, part, close=False)
    await send(settings, [])
    with worker(settings):
        counts = await until_equal(settings, wanted, 60)
    assert counts.equal(wanted)
    first: dict[float, PerformanceReport] = {}
    for record in await records_of(settings, REPORTS):
        report = msgspec.json.decode(record.value, type=AnyReport)
        if isinstance(report, PerformanceReport):
            first.setdefault(report.window_end.timestamp(), report)
    there = there_when_closed(wanted)
    assert sum(n > 0 for n in there.values()) > 40
    assert {end: report.feedback for end, report in first.items() if report.feedback < there.get(end, 0)} == {}
