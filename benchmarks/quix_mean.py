"""Quix Streams: the simplest program that keeps a mean over a tumbling window. Started by `benchmarks.compare`.

python -m benchmarks.quix_mean SERVERS EVENTS STATE_DIR GROUP TOPIC

Decodes JSON and keeps the mean of one feature over a minute of event time; every setting is Quix's own default, but
that it reads from the start and takes the event's own time. The topic has the model for its key already, so that
nothing is to be sent through Kafka again to group by it.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from quixstreams import Application

from benchmarks.reading import Clock

WINDOW_MS = 60_000


def main(servers: str, events: int, state_dir: str, group: str, topic: str) -> None:
    """Run until so many events have been taken, tell the figures and end."""
    app = Application(
        broker_address=servers,
        consumer_group=group,
        auto_offset_reset="earliest",
        state_dir=state_dir,
        loglevel="ERROR",
    )
    source = app.topic(topic, timestamp_extractor=lambda value, *_: int(value["timestamp"] * 1000))
    clock, taken = Clock(), 0

    def amount(event: Any) -> float:
        nonlocal taken
        if taken == events:  # all before it are through the window
            clock.stop(taken).tell()
            os._exit(0)
        taken += 1
        if taken == 1:
            clock.start(taken)
        found: float = event["features"]["amount"]
        return found

    app.dataframe(source).apply(amount).tumbling_window(WINDOW_MS).mean().final()
    app.run()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4], sys.argv[5])
