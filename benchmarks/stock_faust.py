"""Stock Faust: the simplest program that keeps something of each event. Started by `benchmarks.throughput`.

python -m benchmarks.stock_faust SERVERS EVENTS STATE_DIR APP PARTITIONS TOPIC...

`async for event in stream`, JSON values, one table write an event; every setting is Faust's own default, but that
it reads from the start, serves no web pages, and that a new table has as many partitions as the topics.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import faust

from benchmarks.reading import Clock


def main(servers: str, events: int, state_dir: str, name: str, partitions: int, topics: list[str]) -> None:
    """Run until so many events have been taken, tell the figures and end."""
    app = faust.App(
        name, broker=f"kafka://{servers}", value_serializer="json", datadir=state_dir, topic_partitions=partitions,
        consumer_auto_offset_reset="earliest", web_enabled=False,
    )  # fmt: skip
    seen = app.Table("seen", default=str)
    clock = Clock()

    async def reader(stream: Any) -> None:
        taken = 0
        async for event in stream:
            taken += 1
            if taken == 1:
                clock.start(taken)
            seen[event["prediction_id"]] = event.get("prediction", "")
            if taken == events:
                clock.stop(taken).tell()
                os._exit(0)

    app.agent(app.topic(*topics))(reader)
    faust.Worker(app, loglevel="ERROR", redirect_stdouts=False).execute_from_commandline()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4], int(sys.argv[5]), sys.argv[6:])
