"""What all agents share: an output, decorators, and how a join halts, goes on, and drains."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast

import msgspec
import pytest

from agents.agent import Agent
from agents.join.agent import JoinAgent
from agents.join.halt_alerts import HaltAlerts
from agents.join.halts import TooManyDeadLetters
from agents.output import Output, TooLarge, alert_record
from app.faust_batches.batch import Batch
from app.ingest.dead_letter_limit import DeadLetterLimit
from app.ingest.decoding import Rejected
from app.kafka.producer import NotSent, Outgoing, Producer
from app.telemetry.metrics import WORKER
from app.telemetry.stream import StreamMetrics
from app.worker import output
from app.worker.instrumented import MeasuredAgent, TracedAgent
from app.worker.output import KafkaOutput
from app.worker.self_report import SelfReport, SelfReporting
from tests.support.alert_events import of_rule
from tests.support.join_log import START, Registry
from tests.support.outputs import KeptOutput, pane_events
from tests.support.reports import StubRecord
from topics.events import AlertEvent, MonitorReport, PanePartial
from topics.partition import partitions_of
from topics.registry import ALERTS, DEAD_LETTERS, FEEDBACK, PANES, PREDICTIONS, REPORTS, Topic

NOW = datetime(2026, 1, 1, tzinfo=UTC)


# The worker's output


@dataclass
class StubProducer:
    """Takes all but what is too large; notes how much it is given at a time."""

    taken: list[tuple[str, Outgoing]] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)

    async def send_many(self, topic: Topic, records: Sequence[Outgoing]) -> list[NotSent]:
        self.sizes.append(len(records))
        large = {i for i, record in enumerate(records) if record.value == b"large"}
        self.taken += [(topic.name, record) for i, record in enumerate(records) if i not in large]
        return [NotSent(i, "it is too large") for i in sorted(large)]


def outlet_to(producer: StubProducer) -> tuple[KafkaOutput, SelfReport]:
    monitor = SelfReport("workers", "w1", wall=lambda: 1000.0)
    return KafkaOutput(cast("Producer", producer), "p.", 4, StreamMetrics(), monitor), monitor


def counted(name: str, **labels: str) -> float:
    return WORKER.get_sample_value(name, labels) or 0.0


async def test_what_is_too_large_is_named_by_its_position_and_all_else_is_sent_and_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(output, "MOST_TOGETHER", 3)
    producer = StubProducer()
    before = counted("driftline_records_published_total", topic="panes")
    records = [Outgoing(b"%d" % i, b"large" if i in (1, 6) else b"x") for i in range(8)]
    with pytest.raises(TooLarge, match="panes: it is too large") as raised:
        await outlet_to(producer)[0].publish(PANES, records)
    assert [one.position for one in raised.value.refused] == [1, 6]
    assert [record.key for _, record in producer.taken] == [b"0", b"2", b"3", b"4", b"5", b"7"]
    assert producer.sizes == [3, 3, 2]
    assert counted("driftline_records_published_total", topic="panes") == before + 6


async def test_an_alert_is_counted_by_status_and_level_and_a_dead_letter_by_its_topic() -> None:
    producer = StubProducer()
    out, monitor = outlet_to(producer)
    alert = of_rule("data_drift")
    labels = {"status": alert.status, "level": alert.level}
    letters = "driftline_dead_letter_records_total"
    before = counted("driftline_alerts_total", **labels), counted(letters, topic="feedback")
    await out.publish(ALERTS, [alert_record(alert, out.partitions)])
    stray = StubRecord(17, b"{", b"k")
    await out.dead_letter(Batch(FEEDBACK, 2, [stray]), [Rejected(stray, "it is broken")])
    assert counted("driftline_alerts_total", **labels) == before[0] + 1
    assert counted(letters, topic="feedback") == before[1] + 1
    assert monitor.dead_in == {2: 1}
    topic, letter = producer.taken[-1]
    assert (topic, letter.key, letter.value) == (DEAD_LETTERS.name, b"k", b"{")
    assert dict(letter.headers) == {
        "driftline-reason": b"it is broken", "driftline-topic": b"p.feedback", "driftline-partition": b"2",
        "driftline-offset": b"17", "driftline-timestamp": str(stray.timestamp).encode(),
    }  # fmt: skip


# Decorators


class Recording(Agent):
    """Notes what is asked of it."""

    name, inputs = "join", (PREDICTIONS, FEEDBACK)

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def position(self, topic: Topic, partition: int) -> int:
        return 7 if topic is FEEDBACK else partition

    async def prepare(self, partition: int) -> None:
        self.calls.append(("prepare", partition))

    async def handle(self, batch: Batch, out: Output) -> None:
        self.calls.append(("handle", batch))

    async def halted(self, error: Exception, out: Output) -> None:
        self.calls.append(("halted", str(error)))

    async def pause(self) -> None:
        self.calls.append("pause")

    def forget(self, partitions: object) -> None:
        self.calls.append(("forget", partitions))

    def drain(self) -> None:
        self.calls.append("drain")

    @property
    def most_together(self) -> int:
        return 11

    @property
    def saved(self) -> bool:
        return False


async def test_a_decorated_agent_is_the_same_agent() -> None:
    """Of every method of an agent: what is not passed on would be lost without a word."""
    plain, out, batch = Recording(), KeptOutput(partitions=3), Batch(FEEDBACK, 1, (), following=5)
    monitor = SelfReport("workers", "w1", wall=lambda: 1000.0)
    agent: Agent = SelfReporting(plain, monitor, lambda topic, partition: 9)
    agent = TracedAgent(MeasuredAgent(agent, StreamMetrics()), cast("Any", _Traces()))
    assert (agent.name, agent.inputs, agent.position(FEEDBACK, 0), agent.position(PREDICTIONS, 3)) == (
        "join", (PREDICTIONS, FEEDBACK), 7, 3,
    )  # fmt: skip
    await agent.prepare(1)
    await agent.handle(batch, out)
    stray = StubRecord(4, b"")
    await agent.halted(TooManyDeadLetters(FEEDBACK, 0, Rejected(stray, "broken")), out)
    await agent.pause()
    agent.forget({1})
    agent.drain()
    assert plain.calls == [
        ("prepare", 1), ("handle", batch), ("halted", "feedback partition 0 offset 4: broken"), "pause",
        ("forget", {1}), "drain",
    ]  # fmt: skip
    assert not agent.saved
    assert agent.most_together == 11
    ours = {name for name in vars(Agent) if not name.startswith("_")}
    assert ours == {"prepare", "position", "handle", "halted", "pause", "forget", "drain", "most_together", "saved"}


class _Traces:
    """Tracing that is off."""

    def handling(self, *_: object) -> Any:
        return pytest.MonkeyPatch.context()

    def forget(self, partitions: object) -> None:
        """Nothing is kept."""


async def test_a_worker_reports_on_the_way_of_the_agent_that_is_to_and_of_no_other() -> None:
    clock = [1000.0]
    monitor = SelfReport("workers", "w1", wall=lambda: clock[0], every=15.0)
    out, elsewhere = KeptOutput(partitions=3), KeptOutput(partitions=5)
    reading = SelfReporting(Recording(), monitor, lambda topic, partition: 12)
    reporting = SelfReporting(Recording(), monitor, lambda topic, partition: 12, reports=True, to=elsewhere)
    records = [StubRecord(offset, b"", timestamp=990_000) for offset in range(5)]
    await reading.handle(Batch(FEEDBACK, 0, records, following=5), out)
    assert out.records == elsewhere.records == []
    await reporting.handle(Batch(PREDICTIONS, 1, records, following=5), out)
    await reporting.handle(Batch(PREDICTIONS, 1, (), following=5), out)
    ((topic, record),) = elsewhere.records
    report = msgspec.json.decode(record.value or b"", type=MonitorReport)
    assert (topic, record.key, out.records) == (REPORTS, b"driftline/workers/monitor/w1", [])
    assert (report.n, report.lag) == (10, {"feedback": 7, "predictions": 7})


# Halts


def garbage(first: int, n: int) -> list[StubRecord]:
    return [StubRecord(first + i, b"{", b"k%d" % i, timestamp=1_700_000_000_000) for i in range(n)]


async def test_a_join_that_meets_too_many_dead_letters_alerts_and_whoever_goes_on_resolves() -> None:
    order: list[str] = []
    table: dict[str, bytes] = {}

    async def saved() -> None:
        order.append(f"saved {len(table)}")

    def is_notified(alert: AlertEvent) -> bool:
        order.append(f"asked of {alert.alert_id}")
        return True

    halts = HaltAlerts(0.5, 10, saved=saved, is_notified=is_notified, now=lambda: NOW)
    out = KeptOutput(partitions=3)
    join = JoinAgent(
        table,
        Registry(),
        checkpoint_seconds=0.0,
        halt_alerts=halts,
        limit=lambda recent: DeadLetterLimit(0.5, 10, recent),
    )
    with pytest.raises(TooManyDeadLetters) as raised:
        await join.handle(Batch(FEEDBACK, 2, garbage(0, 10), following=10), out)
    assert (out.records, out.rejected, join.position(FEEDBACK, 2)) == ([], [], 0)
    await join.halted(raised.value, out)
    (fired,) = out.alerts()
    assert (fired.status, fired.evidence["offset"], fired.labels["topic"]) == ("firing", 5, "feedback")
    assert order == ["saved 1", f"asked of {fired.alert_id}", "saved 1"]
    accepting = JoinAgent(table, Registry(), checkpoint_seconds=0.0, halt_alerts=halts)
    await accepting.handle(Batch(FEEDBACK, 2, garbage(0, 5), following=5), out)
    assert (len(out.alerts()), out.rejected) == (1, list(range(5)))
    await accepting.handle(Batch(FEEDBACK, 2, garbage(5, 5), following=10), out)
    _, over = out.alerts()
    assert (over.status, over.fingerprint, over.ended_at) == ("resolved", fired.fingerprint, NOW)
    await accepting.handle(Batch(FEEDBACK, 2, ()), out)
    assert len(out.alerts()) == 2
    assert not [key for key in table if key.startswith("stopped")]


# A prefix that is drained


async def test_a_join_that_drains_sends_all_to_its_successor_but_dead_letters() -> None:
    """Its panes have negative partitions there; feedback of which it has no prediction loses the mark of re-keying."""
    out, successor = KeptOutput(partitions=3), KeptOutput(partitions=5)
    join = JoinAgent({}, Registry(), checkpoint_seconds=0.0, partitions=3, successor=successor)
    prediction = {
        "prediction_id": "a", "model": "m", "model_version": "multiclass", "timestamp": START, "features": {"age": 3},
        "prediction": "a",
    }  # fmt: skip
    partition = 1
    key = next(k for k in (f"id{i}" for i in range(99)) if _partition(k) == partition)
    prediction["prediction_id"] = key
    stamp = round(START * 1000)
    records = [StubRecord(0, json.dumps(prediction).encode(), key.encode(), stamp), *garbage(1, 1)]
    records[1].key = None
    await join.handle(Batch(PREDICTIONS, partition, records, following=2, caught_up=True), out)
    other = next(k for k in (f"of{i}" for i in range(99)) if _partition(k) == partition)
    truth = StubRecord(
        0, json.dumps({"prediction_id": other, "actual": "a"}).encode(), other.encode(), stamp,
        headers=[("driftline-rekeyed", b"0/9"), ("source", b"shop")],
    )  # fmt: skip
    await join.handle(Batch(FEEDBACK, partition, [truth], following=1, caught_up=True), out)
    assert (out.records, out.rejected) == ([], [1])
    events = pane_events(successor.of(PANES), 5)
    assert {event.partition for event in events} == {partition - 3}
    assert sum(event.n for event in events if isinstance(event, PanePartial)) == 1
    (passed_on,) = successor.of(FEEDBACK)
    assert (passed_on.key, passed_on.value, passed_on.partition) == (truth.key, truth.value, None)
    assert list(passed_on.headers) == [("source", b"shop")]


def _partition(key: str) -> int:
    return int(partitions_of([key.encode()], 3)[0])
