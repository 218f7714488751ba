"""What `Client.log` costs the caller: the time from its call to its return, at a steady rate, in the caller's thread.

An API beside it, in a process of its own, takes every batch; in the last part it is away, so that the buffer fills.
Calls are due at a fixed rate; each is timed alone, with the clock's own cost taken off. Between two calls the thread
works, as one does that serves a model, or it sleeps, after which every step finds cold caches. Beside each call, in the
same loop, `json.dumps` of the same features is timed, as a measure of the machine. No Kafka is needed.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import time
from array import array
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import cycle
from multiprocessing.connection import Connection

import numpy as np

from benchmarks.events import FEATURES, MODEL, VERSION, frame
from benchmarks.harness import free_port
from benchmarks.machine import machine_alone
from benchmarks.reading import ReaderFailed
from driftline import Client

WARM = 1000


class _Taking(BaseHTTPRequestHandler):
    """Takes every event that comes."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Answer as the API does."""
        events = json.loads(self.rfile.read(int(self.headers["content-length"])))
        answer = b'{"accepted": %d, "rejected": []}' % len(events)
        self.send_response(202)
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; returns the exit status."""
    parser = argparse.ArgumentParser("benchmarks.client_log", description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0, help="of each part (%(default)s)")
    parser.add_argument("--rate", type=int, default=1000, help="calls a second (%(default)s)")
    options = parser.parse_args(arguments)
    print(machine_alone(), flush=True)
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    api = multiprocessing.get_context("spawn").Process(target=_serve, args=(theirs,), daemon=True)
    api.start()
    url = f"http://127.0.0.1:{ours.recv()}"
    working = _part("the caller works", url, options, sleeps=False)
    sleeping = _part("the caller sleeps", url, options, sleeps=True)
    api.terminate()
    api.join()
    away = _part("the API is away", f"http://127.0.0.1:{free_port()}", options, sleeps=False)
    print(f"client log p50 {_us(working, 50)}, p99 {_us(working, 99)}; after a sleep p50 {_us(sleeping, 50)}, p99 "
          f"{_us(sleeping, 99)}; with the API away p50 {_us(away, 50)}, p99 {_us(away, 99)}; {options.rate}/s",
          flush=True)  # fmt: skip
    return 0


def _serve(ready: Connection) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Taking)
    ready.send(server.server_port)
    server.serve_forever()


def _part(name: str, url: str, options: argparse.Namespace, *, sleeps: bool) -> list[float]:
    """Seconds that each call took."""
    rows = [{feature: row[feature] for feature in FEATURES} for row in frame(1000, seed=5).to_dict("records")]
    calls, dumps = array("d"), array("d")
    clock = time.perf_counter
    cost = min(-(clock() - clock()) for _ in range(10_000))
    client = Client(url, model=MODEL, model_version=VERSION)
    for i, row in zip(range(WARM), cycle(rows), strict=False):
        client.log(row, "1", probability=i / WARM)
    client.flush(1.0)
    start = time.monotonic() + 0.1
    for i, row in zip(range(round(options.seconds * options.rate)), cycle(rows), strict=False):
        while (left := start + i / options.rate - time.monotonic()) > 0:
            if sleeps:
                time.sleep(left)
        began = clock()
        client.log(row, "1", probability=0.5)
        calls.append(clock() - began - cost)
        began = clock()
        json.dumps(row)
        dumps.append(clock() - began - cost)
    stats = client.close(2.0)
    if stats.logged != stats.sent + stats.lost:
        raise ReaderFailed(f"{stats.logged:,} events were logged, {stats.sent:,} sent and {stats.lost:,} lost")
    print(f"  {name}: {len(calls):,} calls at {options.rate}/s; p50 {_us(calls, 50)}, p99 {_us(calls, 99)}, p99.9 "
          f"{_us(calls, 99.9)}, most {_us(calls, 100)}; json.dumps of its features p50 {_us(dumps, 50)}, p99 "
          f"{_us(dumps, 99)}; {stats.sent:,} sent, {stats.lost:,} lost", flush=True)  # fmt: skip
    return calls.tolist()


def _us(seconds: Sequence[float], percentile: float) -> str:
    return f"{np.percentile(seconds, percentile) * 1e6:.1f} µs"


if __name__ == "__main__":
    sys.exit(main())
