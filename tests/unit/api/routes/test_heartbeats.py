"""POST /heartbeats: a record for every partition, which workers read as they read a replay's."""

from __future__ import annotations

from pathlib import Path

import msgspec

from app.ingest.predictions import heartbeat_of, is_heartbeat
from tests.support.api_without_kafka import Api
from topics.events import Heartbeat

BODY = {"model": "churn", "model_version": "3", "timestamp": "2026-06-01T12:00:00Z"}


def test_every_partition_has_a_heartbeat_and_what_is_none_is_refused_by_field(tmp_path: Path) -> None:
    api = Api(tmp_path)
    try:
        records = api.post("/heartbeats", msgspec.json.encode(BODY))
        assert api.told == '{"partitions":3}'
        assert [one.partition for one in api.kafka.sent] == [0, 1, 2]
        for record in records:
            assert is_heartbeat(record)
            found = heartbeat_of(record)
            assert isinstance(found, Heartbeat)
            assert (found.model, found.model_version) == ("churn", "3")
            assert found.timestamp == msgspec.convert(BODY, Heartbeat).timestamp
        for wrong, words in (
            ({**BODY, "timestamp": 1.8e12}, "`timestamp` is outside 1970 to 2100"),
            ({**BODY, "model": 1}, "model: "),
            ({"model": "churn"}, "model_version: missing; timestamp: missing"),
        ):
            assert api.post("/heartbeats", msgspec.json.encode(wrong)) == []
            assert words in api.told
    finally:
        api.close()
