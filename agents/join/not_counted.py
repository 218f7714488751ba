"""Monitor of the records of source partitions that are not counted, reported by model version."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import msgspec

from agents.join.recent_counts import USUAL, NotCountedThresholds, RecentRecords, UnmatchedFeedback
from agents.join.store import JoinStore
from agents.output import Output
from app.alerting.events.self_monitoring import SELF
from app.core.join.state import JoinState
from app.faust_batches.quarantine import Quarantined
from app.ingest.decoding import UNREGISTERED, Record, Rejected, keys_of
from app.ingest.naming import Version, version_in
from app.kafka.producer import Outgoing
from app.telemetry import tracing
from topics.events import IntakeReport
from topics.partition import partition_of
from topics.registry import FEEDBACK, PREDICTIONS, REPORTS

EVERY = 15.0
"""Seconds of the wall clock between two reports of one partition, unless a threshold is crossed."""
MOST_NAMED = 20
"""Reasons and unregistered model versions that one report names. All further ones are counted as `other`."""
OTHER = "other"

SOURCES = (PREDICTIONS.name, FEEDBACK.name)


@dataclass(slots=True)
class PartitionCounts:
    """Counts of one partition of one topic."""

    counted: dict[Version, RecentRecords] = field(default_factory=dict)
    unmatched: UnmatchedFeedback | None = None
    beyond: set[Version] = field(default_factory=set)
    crossed: set[Version] = field(default_factory=set)
    reported_at: float = 0.0


class IntakeMonitor:
    """Monitor of the records that are not counted, for the partitions of one worker. `store` is the join's.

    The store outlives the worker and has the model versions that were reported as not counted as a whole. The next
    owner of the partition reports them until they are counted again.

    `profile_of`: the profile's id of a registered model version, else None. `reported` is called with each report that
    Kafka has acknowledged. `wall`: seconds since the epoch. `now`: a monotonic clock.
    """

    def __init__(
        self,
        store: JoinStore,
        group: str,
        profile_of: Callable[[str, str], str | None],
        *,
        thresholds: NotCountedThresholds = USUAL,
        reported: Callable[[IntakeReport], None] = lambda report: None,
        wall: Callable[[], float] = time.time,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._itself: Version = (SELF, group)
        self._profile_of = profile_of
        self._reported = reported
        self._thresholds, self._window = thresholds, thresholds.window
        self._wall, self._now = wall, now
        self._parts: dict[tuple[int, int], PartitionCounts] = {}
        self._told: dict[int, set[tuple[int, str, str]]] = {}
        self._revision = 0

    def forget(self, partitions: Collection[int] | None = None) -> None:
        """Drop the counts of partitions (None: all), which other workers may have now."""
        for key in [key for key in self._parts if partitions is None or key[0] in partitions]:
            del self._parts[key]
        for partition in list(self._told) if partitions is None else partitions:
            self._told.pop(partition, None)

    # Counting

    def note(
        self,
        partition: int,
        topic: int,
        records: Sequence[Record],
        rejected: Sequence[Rejected],
        taken: Mapping[Version, int],
        waiting: Collection[bytes],
    ) -> None:
        """Take a batch of predictions (topic 0) or feedback (1): the rejected records, and `taken` by model version.

        `waiting`: the ids of feedback without a prediction, as the join has them after the batch.
        """
        part = self._part(partition, topic)
        sorted_out = self._sorted(rejected)
        recorded = records[-1].timestamp
        for version in {*taken, *sorted_out, self._itself}:
            found = sorted_out.get(version, ())
            itself = version == self._itself
            counted = part.counted.get(version)
            if counted is None:
                counted = part.counted[version] = RecentRecords(self._window, since=self._wall())
            strangers = [one for one in found if one.reason.startswith(UNREGISTERED)]
            dead = len(found) - len(strangers)
            counted.add(len(records) if itself else taken.get(version, 0) + len(found), dead, len(strangers), recorded)
            counted.reasons.update(map(_kind, found))
            counted.names.update(one.reason.removeprefix(UNREGISTERED).rpartition(" is not ")[0] for one in strangers)
            if dead:
                counted.last = next(one for one in reversed(found) if not one.reason.startswith(UNREGISTERED))
            if counted.is_beyond(self._thresholds) != (version in part.beyond):
                part.beyond ^= {version}
                part.crossed.add(version)
        if topic == 1:
            part.unmatched = part.unmatched or UnmatchedFeedback(self._window)
            now = self._now()
            if part.unmatched.wants(now):
                part.unmatched.add(now, len(records), _unmatched(records[-self._window :], waiting))

    def _sorted(self, rejected: Sequence[Rejected]) -> dict[Version, list[Rejected]]:
        """Return the rejected records by the registered model version that they name."""
        found: dict[Version, list[Rejected]] = {}
        for one in rejected:
            version = None if one.reason.startswith(UNREGISTERED) else version_in(_value(one.record))
            if version is None or self._profile_of(*version) is None:
                version = self._itself
            found.setdefault(version, []).append(one)
        return found

    # Reporting

    async def report(self, partition: int, topic: int, waiting: Collection[bytes], out: Output) -> None:
        """Publish the reports that are due, each to the partition of its model version."""
        for report in self.due(partition, topic, waiting):
            key = f"{report.model}/{report.model_version}/intake/{report.topic}/{report.partition}".encode()
            to = partition_of(report.model, report.model_version, out.partitions)
            with tracing.aside():
                await out.publish(REPORTS, [Outgoing(key, msgspec.json.encode(report), to)])
            self._reported(report)

    def due(self, partition: int, topic: int, waiting: Collection[bytes]) -> list[IntakeReport]:
        """Return the reports that are due: all after a while, and at once those that have crossed a threshold."""
        part, now = self._part(partition, topic), self._now()
        regular = now - part.reported_at >= EVERY
        if not regular and not part.crossed:
            return []
        told = self._known(partition)
        versions = list(part.counted) if regular else sorted(part.crossed)
        part.crossed.clear()
        if regular:
            part.reported_at = now
        reports: list[IntakeReport] = []
        after = set(told)
        for version in versions:
            report = self._report(partition, topic, version, part, waiting)
            key = (topic, *version)
            amiss = bool(report.recent_dead or report.recent_unregistered or report.unmatched)
            if amiss or report.dead_letters or report.unregistered or key in told:
                reports.append(report)
            self._begin(part.counted[version])
            after = after | {key} if amiss else after - {key}
        if after != told:
            self._told[partition] = after
            self._store.set_reported(partition, after)
        return reports

    def _report(
        self, partition: int, topic: int, version: Version, part: PartitionCounts, waiting: Collection[bytes]
    ) -> IntakeReport:
        counted = part.counted[version]
        itself = version == self._itself
        settled, unmatched = (0, 0)
        if itself and part.unmatched is not None:
            settled, unmatched = part.unmatched.count(self._now(), waiting)
        self._revision += 1
        end = datetime.fromtimestamp(self._wall(), UTC)
        return IntakeReport(
            model=version[0], model_version=version[1],
            profile_id="" if itself else self._profile_of(*version) or "",
            window_start=min(datetime.fromtimestamp(counted.since, UTC), end), window_end=end, emitted_at=end,
            revision=self._revision, n=counted.n, sufficient=True, topic=SOURCES[topic], partition=partition,
            dead_letters=_most(counted.reasons), unregistered=_most(counted.names), recent=counted.recent,
            recent_dead=counted.dead, recent_unregistered=counted.unregistered, settled=settled, unmatched=unmatched,
            threshold=self._thresholds.dead, unregistered_threshold=self._thresholds.unregistered,
            unmatched_threshold=self._thresholds.unmatched,
            last_reason="" if counted.last is None else _kind(counted.last),
            last_offset=None if counted.last is None else counted.last.record.offset,
        )  # fmt: skip

    def _begin(self, counted: RecentRecords) -> None:
        """Begin the counts of the next report."""
        counted.n, counted.since = 0, self._wall()
        counted.reasons, counted.names = Counter(), Counter()

    def shares(self) -> Iterator[tuple[str, Version, float]]:
        """Yield topic, model version and the share of the newest records that was set aside, where any was."""
        sums: Counter[tuple[int, Version]] = Counter()
        dead: Counter[tuple[int, Version]] = Counter()
        for (_, topic), part in self._parts.items():
            for version, counted in part.counted.items():
                sums[topic, version] += counted.recent
                dead[topic, version] += counted.dead
        for (topic, version), n in sums.items():
            if dead[topic, version]:
                yield SOURCES[topic], version, dead[topic, version] / n

    def _part(self, partition: int, topic: int) -> PartitionCounts:
        key = (partition, topic)
        if key not in self._parts:
            self._parts[key] = PartitionCounts(reported_at=self._now())
        return self._parts[key]

    def _known(self, partition: int) -> set[tuple[int, str, str]]:
        if partition not in self._told:
            self._told[partition] = self._store.reported(partition)
        return self._told[partition]


def taken_of(state: JoinState) -> Counter[Version]:
    """Return by model version how many predictions of a batch were not set aside: counted, or repeated."""
    found: Counter[Version] = Counter()
    for number, came in state.came.items():
        profile = state.watched[number].profile
        found[profile.model, profile.model_version] += came
    return found


def _unmatched(records: Sequence[Record], waiting: Collection[bytes]) -> list[bytes]:
    """Return the ids of the feedback that waits for its prediction."""
    if not waiting:
        return []
    return [key for key in keys_of([record.key or b"" for record in records]) if key in waiting]


def _kind(rejected: Rejected) -> str:
    """Return a reason without the names and values in it."""
    reason = rejected.record.reason if isinstance(rejected.record, Quarantined) else rejected.reason
    return reason.partition(":")[0][:80]


def _value(record: Record) -> bytes | None:
    value: bytes | None = record.original.value if isinstance(record, Quarantined) else record.value
    return value


def _most(counts: Counter[str]) -> dict[str, int]:
    """Return the most frequent counts, with the sum of all others as `other`."""
    found = dict(counts.most_common(MOST_NAMED))
    rest = counts.total() - sum(found.values())
    return {**found, OTHER: rest} if rest else found
