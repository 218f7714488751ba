"""Fields of records in Kafka that no event has: logged once, and counted as if they were not there."""

from __future__ import annotations

import random
from dataclasses import replace

import msgspec
import pytest

from app.ingest.unknown_fields import LONGEST_NAME, MOST_NAMES, UnknownFieldsLog
from tests.support.join_world import World
from tests.support.reports import StubRecord
from topics.events import PredictionEvent


def with_fields(record: StubRecord, **fields: object) -> StubRecord:
    return replace(record, value=msgspec.json.encode({**msgspec.json.decode(record.value or b""), **fields}))


def test_a_mistyped_field_is_logged_once_with_the_one_that_was_meant(caplog: pytest.LogCaptureFixture) -> None:
    world = World(random.Random(1))
    world.produce(200)
    for (_, topic), records in world.producer.logs.items():
        records[:] = [with_fields(one, **({"actul": 1} if topic else {"probabilty": 0.5})) for one in records]
    world.settle()
    assert world.differences() == []
    lines = [one.getMessage() for one in caplog.records if "no field" in one.getMessage()]
    assert sorted(line.partition(": ")[2] for line in lines) == [
        "an event has no field actul, so it is left out; did you mean actual?",
        "an event has no field probabilty, so it is left out; did you mean probability?",
    ]
    assert not any("0.5" in line for line in lines)


@pytest.mark.parametrize("value", [None, b"", b"{", b"[1]", b"\xff", b"[" * 100_000, b'{"a": ' * 100_000])
def test_what_is_no_event_is_left_to_the_dead_letters(value: bytes | None, caplog: pytest.LogCaptureFixture) -> None:
    UnknownFieldsLog("predictions", PredictionEvent).look_at(0, [StubRecord(0, value)])
    assert not caplog.records


def test_the_lines_are_few_and_short_whatever_the_names(caplog: pytest.LogCaptureFixture) -> None:
    watch = UnknownFieldsLog("predictions", PredictionEvent)
    for n in range(3):
        value = msgspec.json.encode({f"{n} {i}\n{'x' * 5_000}": i for i in range(30)})
        watch.look_at(0, [StubRecord(n, value)])
    assert len(caplog.records) == MOST_NAMES
    assert all(len(one.getMessage()) < LONGEST_NAME + 100 and "\n" not in one.getMessage() for one in caplog.records)
