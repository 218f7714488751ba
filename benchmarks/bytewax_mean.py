"""Bytewax: the simplest program that keeps a mean over a tumbling window. Started by `benchmarks.compare`.

python -m benchmarks.bytewax_mean SERVERS EVENTS TOPIC

Decodes JSON with orjson, keys by model and folds one feature over a minute of event time, in the order of arrival:
a mean needs no other. No recovery store, which is Bytewax's own default: it keeps nothing that a kill would survive.
"""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import bytewax.operators as op
import bytewax.operators.windowing as wop
import orjson
from bytewax.connectors.kafka import KafkaSource
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingSink, run_main
from confluent_kafka import OFFSET_BEGINNING

from benchmarks.reading import Clock

WINDOW = timedelta(minutes=1)
PATIENCE = timedelta(hours=1)
"""How far partitions may be read apart: none of their events is late."""
BATCH = 1000

Sum = tuple[int, float]


def main(servers: str, events: int, topic: str) -> None:
    """Run until so many events have been taken, tell the figures and end."""
    clock, taken = Clock(), 0

    def fold(total: Sum, event: Any) -> Sum:
        nonlocal taken
        taken += 1
        if taken == 1:
            clock.start(taken)
        if taken == events:
            clock.stop(taken).tell()
            os._exit(0)
        return total[0] + 1, total[1] + event["features"]["amount"]

    def merge(one: Sum, other: Sum) -> Sum:
        return one[0] + other[0], one[1] + other[1]

    flow = Dataflow("mean")
    source = KafkaSource([servers], [topic], starting_offset=OFFSET_BEGINNING, batch_size=BATCH)
    decoded = op.map("decode", op.input("in", flow, source), lambda message: orjson.loads(message.value))
    keyed = op.key_on("model", decoded, lambda event: event["model"])
    time = wop.EventClock(lambda event: datetime.fromtimestamp(event["timestamp"], UTC), PATIENCE)
    window = wop.TumblingWindower(length=WINDOW, align_to=datetime(2020, 1, 1, tzinfo=UTC))
    sums = wop.fold_window("sum", keyed, time, window, lambda: (0, 0.0), fold, merge, ordered=False)
    means = op.map("mean", sums.down, lambda item: item[1][1][1] / item[1][1][0])
    op.output("out", means, TestingSink([]))
    run_main(flow)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
