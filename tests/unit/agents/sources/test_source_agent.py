"""The agent of a source: events that it sends, records that it rejects, and the offset it reads on from."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec

from agents.output import TooLarge
from agents.sources.agent import BYTES_TOGETHER, FIRST_PAUSE, TOGETHER, SourceAgent, slices
from app.faust_batches.batch import Batch, Log
from app.ingest.decoding import Rejected
from app.kafka.producer import NotSent, Outgoing
from app.sources.hiding import SourceHiding
from app.sources.schema_registry import RegistryUnavailable
from app.sources.source import EventSource, by_topic
from tests.support.source_records import SourceRecord, declared
from topics.registry import DEAD_LETTERS, FEEDBACK, PREDICTIONS, Topic

AT = 1_780_000_000.0


class Taken:
    """An output that keeps sent events in order. Events with ids in `large` are too large."""

    partitions = 4

    def __init__(self, large: Sequence[bytes] = ()) -> None:
        self.large = large
        self.sent: list[tuple[str, str]] = []
        self.reasons: list[tuple[int, str]] = []

    async def publish(self, topic: Topic, records: Sequence[Outgoing]) -> None:
        refused = [NotSent(i, "too large") for i, record in enumerate(records) if record.key in self.large]
        for record in records:
            assert record.key is not None
            assert record.key == msgspec.json.decode(record.value or b"")["prediction_id"].encode()
            if record.key not in self.large:
                self.sent.append((topic.name, record.key.decode()))
        if refused:
            raise TooLarge(topic, refused)

    async def dead_letter(self, batch: Batch, rejected: Sequence[Rejected]) -> None:
        self.sent += [(DEAD_LETTERS.name, str(one.record.offset)) for one in rejected]
        self.reasons += [(one.record.offset, one.reason) for one in rejected]


def event(number: int, **more: Any) -> bytes:
    return json.dumps({"id": f"i{number}", "time": AT, "features": {"a": number}, **more}).encode()


def batch(agent: SourceAgent, values: Sequence[bytes | None], since: int = 0) -> Batch:
    records = [SourceRecord(since + i, value) for i, value in enumerate(values)]
    return Batch(agent.inputs[0], 5, records, since, since + len(values))


async def test_a_batch_becomes_predictions_then_feedback_then_dead_letters() -> None:
    counted: list[tuple[str, Counter[str]]] = []
    source = EventSource(declared("both", where="op != 'd'"), None)
    agent = SourceAgent(
        [source], lambda topic, partition: None, counted=lambda name, counts: counted.append((name, counts))
    )
    out = Taken(large=[b"i4"])
    await agent.handle(
        batch(agent, [event(1, truth=1), b"{}", event(2), None, event(3, op="d"), event(4, truth=0)]), out
    )
    assert agent.inputs[0].full_name("driftline.") == "scored"
    assert out.sent == [
        (PREDICTIONS.name, "i1"), (PREDICTIONS.name, "i2"), (FEEDBACK.name, "i1"), (DEAD_LETTERS.name, "1"),
        (DEAD_LETTERS.name, "5"),
    ]  # fmt: skip
    assert out.reasons == [(1, "id: nothing at id"), (5, "predictions: too large")]
    assert counted == [
        ("scored", Counter(predictions=2, feedback=1, rejected=2, filtered=1, tombstones=1)),
    ]  # fmt: skip


async def test_sources_of_one_topic_take_their_own_records_and_set_aside_each_once() -> None:
    counted: dict[str, Counter[str]] = {}
    first = declared(where="kind == 'scored'").model_copy(update={"name": "scored"})
    second = declared("feedback", where="kind == 'labelled'", id="of").model_copy(update={"name": "labelled"})
    (group,) = by_topic([EventSource(first, None), EventSource(second, None)])
    agent = SourceAgent(group, lambda topic, partition: None, counted=counted.__setitem__)
    values = [event(1, kind="scored"), event(2, kind="other"), b"no JSON", event(3, kind="labelled", of="i1", truth=0),
              event(4, kind="labelled")]  # fmt: skip
    out = Taken()
    await agent.handle(batch(agent, values), out)
    assert out.sent == [
        (PREDICTIONS.name, "i1"), (FEEDBACK.name, "i1"), (DEAD_LETTERS.name, "2"), (DEAD_LETTERS.name, "4"),
    ]  # fmt: skip
    assert out.reasons[1] == (4, "id: nothing at of")
    assert counted["scored"] == Counter(predictions=1, rejected=1, filtered=3)
    assert counted["labelled"] == Counter(feedback=1, rejected=2, filtered=2)


async def test_a_registry_that_is_away_is_asked_until_it_is_back_and_nothing_is_set_aside() -> None:
    pauses: list[float] = []

    class Away(EventSource):
        async def map(self, records: Sequence[Any], hiding: SourceHiding | None = None) -> Any:
            if len(pauses) < 9:
                raise RegistryUnavailable("away")
            return await super().map(records)

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    agent, out = SourceAgent([Away(declared(), None)], lambda topic, partition: None, pause=pause), Taken()
    await agent.handle(batch(agent, [event(1)]), out)
    assert out.sent == [(PREDICTIONS.name, "i1")]
    assert pauses == [FIRST_PAUSE, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]


async def test_it_reads_on_behind_what_was_committed_and_what_it_has_applied_itself() -> None:
    logs = {5: Log(begin=3, end=100, committed=0), 6: Log(begin=0, end=100, committed=40)}
    agent, out = SourceAgent([EventSource(declared(), None)], lambda topic, partition: logs.get(partition)), Taken()
    topic = agent.inputs[0]
    assert [agent.position(topic, partition) for partition in (5, 6, 7)] == [3, 40, 0]
    await agent.handle(batch(agent, [event(1), event(2)], since=3), out)
    assert agent.position(topic, 5) == 5
    await agent.handle(batch(agent, [event(2), event(3)], since=4), out)  # handed over once more, in part
    assert [key for _, key in out.sent] == ["i1", "i2", "i3"]
    agent.forget([5])
    assert agent.position(topic, 5) == 6  # acknowledged, whoever has the partition
    logs[5] = Log(begin=0, end=2, committed=0)  # deleted, and made again
    assert agent.position(topic, 5) == 0


def test_records_are_mapped_in_slices_and_large_ones_in_smaller_slices() -> None:
    many = [*slices([SourceRecord(i, b"{}") for i in range(2 * TOGETHER + 1)])]
    assert [len(some) for some in many] == [TOGETHER, TOGETHER, 1]
    third, whole = b"x" * (BYTES_TOGETHER // 3), b"x" * BYTES_TOGETHER
    records = [SourceRecord(i, value) for i, value in enumerate([third] * 4 + [whole, whole + b"x", None, b"", third])]
    assert [[one.offset for one in some] for some in slices(records)] == [[0, 1, 2], [3], [4], [5], [6, 7, 8]]
    assert [*slices([])] == []
