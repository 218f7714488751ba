"""Reader of the reports and alerts of one model version, from the start of the topics."""

from __future__ import annotations

import msgspec
from aiokafka import TopicPartition

from app.demo.seen import DemoSeen
from app.kafka.client_options import consumer_options
from app.kafka.consumer import Consumer
from app.settings.settings import Settings
from topics.events import AlertEvent, AnyReport
from topics.registry import ALERTS, REPORTS


class Watch:
    """Reads the topics `reports` and `alerts` into `seen`."""

    def __init__(self, settings: Settings, model: str, version: str, seen: DemoSeen) -> None:
        self._settings = settings
        self._model, self._version, self._seen = model, version, seen
        self._reports = REPORTS.full_name(settings.prefix)
        self._report = msgspec.json.Decoder(AnyReport)
        self._alert = msgspec.json.Decoder(AlertEvent)

    async def follow(self) -> None:
        """Read until cancelled."""
        consumer = Consumer(**consumer_options(self._settings), enable_auto_commit=False, auto_offset_reset="earliest")
        partitions = [
            TopicPartition(topic.full_name(self._settings.prefix), number)
            for topic in (REPORTS, ALERTS)
            for number in range(topic.partitions(self._settings.partitions))
        ]
        await consumer.start()
        try:
            consumer.assign(partitions)
            await consumer.seek_to_beginning(*partitions)
            while True:
                for partition, run in (await consumer.getmany(timeout_ms=200)).items():
                    for record in run:
                        self._take(partition.topic, record.value)
        finally:
            await consumer.stop()

    def _take(self, topic: str, value: bytes) -> None:
        if topic == self._reports:
            report: AnyReport = self._report.decode(value)
            if (report.model, report.model_version) == (self._model, self._version):
                self._seen.report(report)
            return
        alert = self._alert.decode(value)
        if (alert.labels.get("model"), alert.labels.get("model_version")) == (self._model, self._version):
            self._seen.alert(alert)
