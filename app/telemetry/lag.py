"""Lag of a process by topic and partition, as gauges and as sums."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from prometheus_client import Gauge

from app.telemetry.bounds import OTHER

MOST_PARTITIONS = 64
"""Partitions of a topic with a lag of their own; the others are summed up under `other`."""


def tell_lag(left: Mapping[tuple[str, int], int], lag: Gauge, partitions: Gauge) -> None:
    """Set both gauges to the remaining records of each topic and assigned partition, and remove all other series."""
    lag.clear()
    partitions.clear()
    held: Counter[str] = Counter()
    rest: Counter[str] = Counter()
    for (topic, partition), records in sorted(left.items()):
        held[topic] += 1
        if held[topic] <= MOST_PARTITIONS:
            lag.labels(topic, str(partition)).set(records)
        else:
            rest[topic] += records
    for topic, records in rest.items():
        lag.labels(topic, OTHER).set(records)
    for topic, n in held.items():
        partitions.labels(topic).set(n)


def by_topic(left: Mapping[tuple[str, int], int]) -> dict[str, dict[str, int]]:
    """Return the number of assigned partitions and the remaining records of each topic, as in `/ready`."""
    held: Counter[str] = Counter()
    lag: Counter[str] = Counter()
    for (topic, _), records in left.items():
        held[topic] += 1
        lag[topic] += records
    return {"partitions": dict(held), "lag": dict(lag)}
