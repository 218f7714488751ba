"""Health of a worker for its metrics and probes: owned partitions, lag and recovery progress."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import faust

from agents.alerts.agent import AlertsAgent
from agents.inferences.agent import InferencesAgent
from agents.join.agent import JoinAgent
from agents.join.not_counted import IntakeMonitor
from app.faust_batches.recovery_progress import RecoveryProgress
from app.settings.settings import Settings
from app.telemetry import metrics
from app.telemetry.lag import by_topic
from app.telemetry.stream import StreamMetrics
from topics.partition import partition_of
from topics.registry import PANES, REPORTS


class WorkerHealth:
    """Health of a worker. It is read in the agents' own loop, so nothing changes meanwhile."""

    def __init__(
        self,
        app: faust.App,
        settings: Settings,
        stream: StreamMetrics,
        join: JoinAgent,
        alerts: AlertsAgent,
        intake: IntakeMonitor,
        inferences: InferencesAgent,
        panes_read: Callable[[int], bool],
    ) -> None:
        """Create the state. `panes_read`: whether a partition of `panes` is read to its end, and so is judged."""
        self._app = app
        self._settings = settings
        self._stream = stream
        self._join = join
        self._alerts = alerts
        self._intake = intake
        self._inferences = inferences
        self._panes_read = panes_read
        self.recovery = RecoveryProgress()

    def look(self) -> None:
        """Update the gauges that are computed on request."""
        self._stream.lag(self._lag())
        self._stream.alerts(self._alerts_held())
        self._stream.set_aside(self._intake.shares())
        metrics.PENDING.set(self._join.pending)
        metrics.WAITING_FEEDBACK.set(self._join.waiting)
        metrics.HALVES_WAITING.set(self._inferences.waiting)
        metrics.HALVES_BYTES.set(self._inferences.bytes)
        metrics.RECOVERING.set(not self._recovered)
        metrics.RECOVERY_LEFT.set(self.recovery.records - self.recovery.read)

    def state(self) -> tuple[bool, Mapping[str, object]]:
        """Return whether the worker is ready, with the content of `/ready`.

        A worker is ready once its tables are complete, its panes are read and its agents run.
        """
        recovery = {"read": self.recovery.read, "records": self.recovery.records}
        unread = self._unread()
        told = {**by_topic(self._lag()), "recovery": recovery, "panes_unread": len(unread)}
        if not self._recovered:
            return False, {"status": "recovering", **told}
        if unread:
            return False, {"status": "reading panes", **told}
        return True, {"status": "ready", **told}

    def _unread(self) -> list[int]:
        """Return the assigned partitions of `panes` that are not read to their end yet."""
        consumer, name = self._app._consumer, PANES.full_name(self._settings.prefix)
        held = [] if consumer is None else [tp.partition for tp in consumer.held if tp.topic == name]
        return [partition for partition in held if not self._panes_read(partition)]

    @property
    def _recovered(self) -> bool:
        consumer = self._app._consumer
        return bool(
            consumer is not None
            and consumer.recovered == self._app.consumer_generation_id
            and not self._app.rebalancing
            and not self._app.tables.recovery.in_recovery
        )

    def _lag(self) -> dict[tuple[str, int], int]:
        consumer = self._app._consumer
        if consumer is None:
            return {}
        prefix = self._settings.prefix
        return {
            (tp.topic.removeprefix(prefix), tp.partition): max(0, (consumer.highwater(tp) or 0) - following)
            for tp, following in consumer.held.items()
        }

    def _alerts_held(self) -> Iterator[tuple[str, str, str, str, str]]:
        """Yield the pending and firing alerts of assigned partitions. The store may still have old ones of others."""
        consumer = self._app._consumer
        name = REPORTS.full_name(self._settings.prefix)
        held = set() if consumer is None else {tp.partition for tp in consumer.held if tp.topic == name}
        for model, version, rule, stage, level in self._alerts.levels():
            if partition_of(model, version, self._settings.partitions) in held:
                yield model, version, rule, level, stage
