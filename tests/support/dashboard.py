"""A stack that a browser looks at: processes of our own, a stream in stages, and many models at once."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta

import httpx
import msgspec
import numpy as np
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, ConsoleMessage, Page

from app.alerting.events.self_monitoring import SELF
from app.kafka.producer import Outgoing, Producer
from app.processes.guarded import GuardedProcess
from app.settings.settings import Settings
from tests.support.stream import MODEL, PANE, START, VERSION, frame, worker
from topics.events import (
    DriftReport,
    FeatureDrift,
    JudgedFrom,
    MetricChange,
    MonitorReport,
    PerformanceReport,
    Shape,
    Usual,
)
from topics.registry import PREDICTIONS, REPORTS

ROWS = 120
"""Predictions in each pane."""
LOST = ("ERR_CONNECTION", "ERR_INCOMPLETE_CHUNKED", "ERR_EMPTY_RESPONSE", "Failed to load resource")
"""What a browser says of a server that is not there; the page says so too."""
OURS = "blink.mojom.DevToolsSession"
"""Through which Playwright asks."""
NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


def with_port(settings: Settings) -> Settings:
    """The same settings, with a free port for the API."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return settings.model_copy(update={"api_port": free.getsockname()[1]})


@contextmanager
def api(settings: Settings) -> Iterator[GuardedProcess]:
    """The API as a process of its own, ready."""
    with worker(settings, "api", ("-m", "app.cli", "api")) as process:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"{address(settings)}/ready?for=events", trust_env=False).is_success:
                    break
            time.sleep(0.1)
        yield process


def address(settings: Settings) -> str:
    """Where the API answers."""
    return f"http://127.0.0.1:{settings.api_port}"


async def send_panes(settings: Settings, first: int, last: int, shift: float) -> None:
    """Predictions of the panes from one until before another, their size shifted; then time goes on to the last."""
    rng = np.random.default_rng(first)
    records = []
    for pane in range(first, last):
        rows = frame(ROWS, seed=1000 + pane).to_dict("records")
        for i, row in enumerate(rows):
            event = {
                "prediction_id": f"{pane}-{i}", "model": MODEL, "model_version": VERSION,
                "timestamp": START + pane * PANE + float(rng.random()) * PANE,
                "features": {"size": row["size"] + shift, "colour": row["colour"]},
                "prediction": row["prediction"], "probability": row["probability"],
            }  # fmt: skip
            records.append(Outgoing(f"{pane}-{i}".encode(), msgspec.json.encode(event)))
    beat = msgspec.json.encode({"model": MODEL, "model_version": VERSION, "timestamp": START + last * PANE})
    async with Producer(settings) as producer:
        await producer.send_many(PREDICTIONS, records)
        beats = [Outgoing(None, beat, number, [("driftline", b"heartbeat")]) for number in range(settings.partitions)]
        await producer.send_many(PREDICTIONS, beats)


class Watched:
    """A page, and what it has complained about."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def check(self, *, lost: bool = False) -> None:
        """Fails on any complaint; `lost`: the server was away, of which the browser may complain."""
        told = [words for words in self.complaints if not (lost and any(known in words for known in LOST))]
        assert told == [], told

    async def accessible(self) -> None:
        """Fails on what axe finds serious or worse."""
        found = await Axe().run(self.page)
        serious = [one for one in found.response["violations"] if one["impact"] in ("serious", "critical")]
        told = [(one["id"], [node["html"][:160] for node in one["nodes"]][:4]) for one in serious]
        assert told == [], told


@asynccontextmanager
async def page_of(
    browser: Browser, settings: Settings, *, width: int = 1280, dark: bool = False, zone: str = "Europe/Berlin"
) -> AsyncIterator[Watched]:
    """The dashboard in a context of its own."""
    context = await browser.new_context(
        viewport={"width": width, "height": 860}, color_scheme="dark" if dark else "light", timezone_id=zone,
        base_url=address(settings),
    )  # fmt: skip
    context.set_default_timeout(30_000)
    try:
        yield Watched(await context.new_page())
    finally:
        await context.close()


@asynccontextmanager
async def tasks_of(browser: Browser, page: Page) -> AsyncIterator[list[float]]:
    """Milliseconds of the processor's time that each task of the page's main thread takes, known at the end.

    What the test itself asks of the page is left out.
    """
    found: list[float] = []
    await browser.start_tracing(page=page, categories=["toplevel", "__metadata"])
    try:
        yield found
    finally:
        trace = msgspec.json.decode(await browser.stop_tracing())["traceEvents"]
        named = [one for one in trace if one["name"] == "thread_name" and one["args"]["name"] == "CrRendererMain"]
        main = {(one["pid"], one["tid"]) for one in named}
        its = [one for one in trace if (one["pid"], one["tid"]) in main and "tdur" in one]
        asked = [one["ts"] for one in its if OURS in str(one.get("args"))]
        tasks = [one for one in its if one["name"].endswith("RunTask")]
        found += [
            one["tdur"] / 1000 for one in tasks if not any(one["ts"] <= at <= one["ts"] + one["dur"] for at in asked)
        ]


async def load_models(settings: Settings, models: int, features: int, windows: int, name: str = "model-{:02}") -> None:
    """Reports of many models, as workers would have sent them; a tenth of the models drift in the end."""
    async with Producer(settings) as producer:
        for number in range(models):
            records = [
                Outgoing(name.format(number).encode(), msgspec.json.encode(report))
                for window in range(windows)
                for report in _reports(name.format(number), features, window, drifting=number % 10 == 0)
            ]
            await producer.send_many(REPORTS, records)
            await asyncio.sleep(0)


async def load_late_truth(settings: Settings, name: str, windows: int = 4) -> None:
    """A calm model whose truth has come of its second window alone; 41 % of it is a label that the reference lacks."""
    records: list[Outgoing] = []
    for window in range(windows):
        for report in _reports(name, 3, window, drifting=False):
            told = _with_counts(report) if isinstance(report, DriftReport) else _with_truth(report, window == 1)
            records.append(Outgoing(name.encode(), msgspec.json.encode(told)))
    async with Producer(settings) as producer:
        await producer.send_many(REPORTS, records)


def _with_counts(report: DriftReport) -> DriftReport:
    columns = tuple(dataclasses.replace(column, missing=7, out_of_range=3) for column in report.features)
    return msgspec.structs.replace(report, features=columns, left_out={"late": 12})


def _with_truth(report: PerformanceReport, come: bool) -> PerformanceReport:
    if come:
        return msgspec.structs.replace(report, unknown_actuals={"d": 1025}, not_judged={"no prediction": 5})
    blank = dataclasses.replace(
        report.metrics[0], value=None, relative=None, low=None, high=None, judged=False, reason="undefined"
    )
    return msgspec.structs.replace(
        report, metrics=(blank,), feedback=0, coverage=0.0, sufficient=False, judged=False, reason="no truth has come"
    )


async def send_monitors(settings: Settings, *workers: str) -> None:
    """What workers say of themselves, as each would have just now."""
    now = datetime.now(UTC)
    reports = [
        MonitorReport(
            model=SELF, model_version="group", profile_id="", window_start=now - timedelta(seconds=15), window_end=now,
            revision=1, n=1500, sufficient=True, emitted_at=now, worker=worker, lag={"predictions": 1200},
            behind_seconds=2.0, dead_letters={},
        )
        for worker in workers
    ]  # fmt: skip
    async with Producer(settings) as producer:
        await producer.send_many(REPORTS, [Outgoing(b"driftline", msgspec.json.encode(report)) for report in reports])


LEARNED = Usual(
    source="live", since=NOW - timedelta(days=20), until=NOW - timedelta(days=5), days=14, needs=14,
    columns=(JudgedFrom(name="feature_000", judged_from=3600.0, after=(86_400.0, 7200.0, 3600.0)),
             JudgedFrom(name="feature_001", judged_from=None, after=(None, None, None))),
)  # fmt: skip


def _reports(model: str, features: int, window: int, *, drifting: bool) -> Iterator[DriftReport | PerformanceReport]:
    end = NOW + timedelta(minutes=window)
    columns = tuple(_column(f"feature_{i:03}", drifting and i % 2 == 0, i + window) for i in range(features))
    drifted = tuple(column.name for column in columns if column.drifted)
    share = len(drifted) / len(columns)
    yield DriftReport(
        model=model, model_version="1", profile_id="p", window_start=end - timedelta(minutes=5), window_end=end,
        revision=1, n=5000, sufficient=True, emitted_at=end, drift_detected=share >= 0.3, drift_share=share,
        drift_threshold=0.3, drifted_features=drifted, prediction_drift=False, features=columns, prediction=None,
        probability=None, missing_share=0.0, unknown_features={}, usual=LEARNED,
    )  # fmt: skip
    metric = MetricChange(
        name="accuracy", value=0.9, baseline=0.91, absolute=-0.01, relative=0.011, low=0.89, high=0.91, threshold=0.05,
        error_bound=0.0, degraded=False,
    )  # fmt: skip
    yield PerformanceReport(
        model=model, model_version="1", profile_id="p", window_start=end - timedelta(minutes=5), window_end=end,
        revision=1, n=5000, sufficient=True, emitted_at=end, feedback=2500, coverage=0.5, degraded=False,
        degraded_metrics=(), metrics=(metric,), estimated=(metric,), confusion=((1, 2), (3, 4)), labels=("no", "yes"),
    )  # fmt: skip


def _column(name: str, drifted: bool, seed: int) -> FeatureDrift:
    rng = np.random.default_rng(seed)
    at = np.sort(rng.normal(size=24).round(4))
    reference = np.linspace(0.04, 1.0, 24).round(4)
    current = np.clip(reference - 0.3 * drifted, 0, 1).round(4)
    return FeatureDrift(
        name=name, kind="numeric", test="ks", statistic=0.3 if drifted else 0.02, p_value=1e-15 if drifted else 0.4,
        threshold=0.1, effect=drifted, significant=drifted, drifted=drifted, n=5000, missing=0, invalid=0, unseen=0,
        out_of_range=0, error_bound=0.0, reference="median 0.01", current="median 0.4", direction="higher",
        unseen_names={}, shape=Shape(at=tuple(at.tolist()), reference=tuple(reference.tolist()),
                                     current=tuple(current.tolist())),
    )  # fmt: skip
