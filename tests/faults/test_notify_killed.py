"""The notifier killed at random moments: every alert is delivered, and told twice only what was in flight at a kill."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from agents.notify.agent import AT_ONCE
from app.core.config.routes import Route
from app.kafka.topics import ensure_topics
from app.settings.settings import Settings
from tests.support.alert_events import of_rule, resolved
from tests.support.deliveries import recorded_of, send_alerts
from tests.support.stream import worker
from tests.support.waiting import until
from tests.support.worker_process import log_of

CHANNEL = """
import sys

import httpx

import app.worker.process
from app.alerting.channels import channels_of
from app.alerting.notify.channel import Delivered, Retryable
from app.settings.settings import load_settings

class Http:
    name = "http"

    def __init__(self, address):
        self.address = address

    async def deliver(self, notification):
        ids = [[alert.alert_id for alert in alerts] for alerts in (notification.firing, notification.resolved)]
        try:
            async with httpx.AsyncClient(timeout=None) as client:
                answer = await client.post(self.address, json=[notification.notification_id, *ids])
        except httpx.TransportError as error:
            return Retryable(type(error).__name__)
        if answer.is_success:
            return Delivered(str(answer.status_code))
        return Retryable(str(answer.status_code), float(answer.headers.get("retry-after", 0)))

app.worker.process.channels_of = lambda *given: {"http": Http(sys.argv[1]), **channels_of(*given)}
sys.exit(app.worker.process.run_worker(load_settings()))
"""
"""A worker with one channel more, that posts what it is told to an address."""


class QuietServer(ThreadingHTTPServer):
    """Does not report those that were killed in the middle of a request."""

    def handle_error(self, request: object, client_address: object) -> None:
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class Endpoint:
    """A real HTTP endpoint: takes its time, sometimes says to come later, and remembers what it has taken."""

    def __init__(self, seed: int) -> None:
        self.arrived: list[str] = []
        self.told: Counter[str] = Counter()
        self._rng = random.Random(seed)
        self._lock = threading.Lock()
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                told = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                status = endpoint.take(*told)
                self.send_response(status)
                if status != 200:
                    self.send_header("Retry-After", "0.05")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args: object) -> None:
                """Say nothing."""

        self._server = QuietServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_port}/"

    def take(self, notification_id: str, firing: list[str], ended: list[str]) -> int:
        """What is answered: one in ten is to come again, before it is taken."""
        with self._lock:
            seconds, refused = self._rng.uniform(0.0, 0.05), self._rng.random() < 0.1
        if refused:
            return 503
        with self._lock:
            self.arrived.append(notification_id)
            self.told.update([*firing, *ended])
        time.sleep(seconds)  # it is taken, and the answer is still to come
        return 200

    @contextmanager
    def running(self) -> Iterator[None]:
        """It answers."""
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield
        finally:
            self._server.shutdown()
            thread.join()
            self._server.server_close()


@pytest.mark.parametrize(
    ("kills", "count"),
    [
        pytest.param(3, 60, marks=pytest.mark.timeout(240)),
        pytest.param(20, 200, marks=[pytest.mark.long, pytest.mark.timeout(900)]),
    ],
)
async def test_kills_lose_no_alert_and_double_only_what_was_in_flight(
    settings: Settings, kills: int, count: int
) -> None:
    settings = settings.model_copy(
        update={
            "session_seconds": 2.0,
            # an attempt that is given up may still arrive, and be recorded before it does
            "delivery_attempt_seconds": 100.0,
            "group_wait_seconds": 0.0,
            "group_interval_seconds": 0.0,
            "digest_above": 0,  # a digest is one message, and doubles all that is in it
            "routes": (Route(channels=("http",)),),
        }
    )
    moments, endpoint = random.Random(5), Endpoint(6)
    alerts = [of_rule("data_drift", version=str(i)) for i in range(count)]
    part = count // (kills + 1)
    await ensure_topics(settings)
    command = ("-c", CHANNEL, endpoint.address)
    ended = [resolved(alert) for alert in alerts[::3]]
    wanted = {alert.alert_id for alert in (*alerts, *ended)}
    with endpoint.running():
        async with recorded_of(settings, endpoint.arrived) as recorded:
            for kill in range(kills):
                await send_alerts(settings, alerts[kill * part : (kill + 1) * part])
                enough = len(endpoint.told) + moments.randrange(1, part)
                with worker(settings, f"killed-{kill}", command) as process:
                    assert await until(lambda: len(endpoint.told) >= enough, 45), log_of(settings)  # noqa: B023
                    await asyncio.sleep(moments.uniform(0.0, 0.1))
                    os.kill(process.pid, signal.SIGKILL)
            await send_alerts(settings, alerts[kills * part :])
            with worker(settings, "last", command):
                told_all = await until(lambda: len(endpoint.told) == count, 45)
                await send_alerts(settings, ended)
                recorded_all = await until(lambda: recorded.ids == wanted, 45)
    log = log_of(settings)
    assert told_all, f"{wanted - set(endpoint.told)} never arrived\n{log}"
    assert recorded_all, f"{wanted - recorded.ids} not recorded\n{log}"
    assert {event.outcome for event in recorded.events} == {"delivered"}
    doubled = sum(endpoint.told.values()) - len(wanted)
    print(f"{kills} kills, {len(wanted)} transitions, {doubled} told twice")
    assert doubled <= kills * AT_ONCE
    again = [name for name, times in recorded.arrivals.items() if endpoint.arrived.count(name) > times]
    assert again == [], f"told again after it was recorded\n{log}"
