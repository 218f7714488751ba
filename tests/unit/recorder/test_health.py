"""What a recorder's probe says while it waits for its database or for Kafka, and how far behind it tells that it is."""

from __future__ import annotations

import pytest
from aiokafka import TopicPartition

from app.recorder.health import RecorderHealth
from app.telemetry.metrics import RECORDER

FIRST, SECOND = TopicPartition("p.predictions", 0), TopicPartition("p.predictions", 1)


def told(name: str, **labels: str) -> float | None:
    return RECORDER.get_sample_value(f"driftline_recorder_{name}", labels)


@pytest.fixture
def standing() -> RecorderHealth:
    """One that writes what it reads."""
    found = RecorderHealth("p.")
    found.waits(None)
    found.held = frozenset({FIRST, SECOND})
    found.positions.update({FIRST: 10, SECOND: 5})
    found.ends = {FIRST: 40, SECOND: 3}
    return found


def test_it_is_ready_when_all_that_it_holds_is_written_on(standing: RecorderHealth) -> None:
    assert standing.state() == (
        True,
        {"status": "ready", "partitions": {"predictions": 2}, "lag": {"predictions": 30}, "waits_for": None},
    )
    standing.look()
    assert told("ready") == 1
    assert told("lag_records", topic="predictions", partition="0") == 30
    assert told("lag_records", topic="predictions", partition="1") == 0  # its end was asked for before it was written
    assert told("partitions_held", topic="predictions") == 2


def test_it_says_what_it_waits_for(standing: RecorderHealth) -> None:
    standing.waits("database is locked")
    ready, state = standing.state()
    assert (ready, state["status"], state["waits_for"]) == (False, "waiting", "the database: database is locked")
    assert state["lag"] == {"predictions": 30}
    standing.look()
    assert told("ready") == 0
    standing.waits(None)
    standing.kafka = "it has not answered for 10 s"
    assert standing.state()[1]["waits_for"] == "Kafka: it has not answered for 10 s"
    standing.kafka, standing.held = None, None
    standing.positions.clear()
    assert standing.state()[1]["waits_for"] == "Kafka: partitions change hands"
    standing.held = frozenset({FIRST})
    assert standing.state()[1]["waits_for"] == "the database: where to read on from"
    standing.held = frozenset()  # there are more recorders than partitions
    assert standing.state()[0]


def test_it_is_not_ready_before_its_tables_are_made() -> None:
    assert RecorderHealth("p.").state()[1]["waits_for"] == "the database: its tables are not made yet"


def test_what_was_lost_or_set_aside_is_counted_by_topic(standing: RecorderHealth) -> None:
    standing.lost(FIRST.topic, 7)
    standing.dead_letters([(FIRST.topic, "malformed JSON: at byte 3"), (FIRST.topic, "malformed JSON: at byte 9")])
    assert told("lost_records_total", topic="predictions") == 7
    assert told("dead_letters_total", topic="predictions", reason="malformed JSON") == 2
