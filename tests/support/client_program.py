"""Programs that use the client, and a server that counts what arrives."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Arrivals(ThreadingHTTPServer):
    """Takes every event that comes, and counts by id. With `away` it takes none."""

    def __init__(self, *, away: bool = False) -> None:
        super().__init__(("127.0.0.1", 0), _Taking)
        self.away = away
        self.ids: Counter[str] = Counter()
        self.came = threading.Condition()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, *_: object) -> None:
        """A client may be killed while it sends."""


class _Taking(BaseHTTPRequestHandler):
    server: Arrivals
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        events = json.loads(self.rfile.read(int(self.headers["content-length"])))
        answer = b'{"detail": "no Kafka"}'
        if not self.server.away:
            answer = b'{"accepted": %d, "rejected": []}' % len(events)
            with self.server.came:
                self.server.ids.update(event["prediction_id"] for event in events)
                self.server.came.notify_all()
        self.send_response(503 if self.server.away else 202)
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def arrivals(*, away: bool = False) -> Iterator[Arrivals]:
    server = Arrivals(away=away)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


BEGIN = """
import atexit, logging, os, signal, sys, threading, time
{before}
from driftline import Client
logging.basicConfig(format="%(process)d %(message)s")
client = Client(os.environ["API"], model="m", model_version="1", flush_seconds=60)

def log(name):
    client.log({{"x": 1}}, 1, prediction_id=name)
    return name

def log_after(name, *others):
    thread = threading.Thread(target=lambda: (threading.main_thread().join(0.2), log(name + "-thread")))
    thread.start()
    log(name)
"""


def program(tmp_path: Path, code: str, before: str = "") -> Path:
    path = tmp_path / "program.py"
    path.write_text(BEGIN.format(before=before) + code)
    return path


def run(
    path: Path, server: Arrivals, *arguments: str, python: str = sys.executable
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [python, "-W", "error", str(path), *arguments], capture_output=True, text=True, timeout=90, check=False,
        env={**os.environ, "API": server.url, "PYTHONPATH": str(Path.cwd())},
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    return done
