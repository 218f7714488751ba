"""Demo from end to end: Kafka, worker, API, a trained model, the replay of three years, and the summary."""

from __future__ import annotations

import asyncio
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx

from app.alerting.events.text import line_of
from app.core.reference.profile import Kind
from app.demo.census import FEATURES, NUMERIC, TRUTH, census
from app.demo.model import SEED, DemoModel, train
from app.demo.screen import screen
from app.demo.seen import DemoWindow
from app.demo.story import DemoStream, Fault, story
from app.demo.stream import Streaming
from app.demo.verdict import Expected, verdict
from app.local.find_kafka import find_kafka, running_kafka
from app.local.kafka_probe import free_ports, is_free
from app.local.stack import Stack
from app.registration.monitoring import MonitoringFile
from app.registration.publish import register
from app.registration.setup import read_monitoring
from app.serving.bundle import save_bundle
from app.settings.settings import Settings

MODEL = "census-employment"
LIVE, REPLAYED = "1", "1-replay"
"""Versions of the same model: one is served now, the other is replayed with event times in the past."""
MONITORING = Path(__file__).with_name("monitoring.json")
"""Monitoring configuration of the demo. Its `min_samples` are 1,500: by chance alone, 5 % of windows of 700 people have
a distance above 0.1 in schooling (25 kinds), and in 4 % of them a metric is degraded. Among windows of 1,500 people
there are none (4,000 and 150 windows drawn)."""
LIVE_REQUESTS = 5
INTERRUPTED = 130
NUMBERS = ("column", "metric")
"""Kinds of an alert's facts that the summary shows: the statistic of a column, the value of a metric."""


@dataclass(frozen=True)
class Material:
    """Input of the stream: the trained model, its saved bundle, and the events to replay."""

    trained: DemoModel
    bundle: Path
    story: DemoStream


def run(settings: Settings, *, keep: bool, rate: float | None, share: float, live: bool) -> int:
    """Run the demo. Return the exit status: 0 if all checks passed, 1 if not, 130 when interrupted."""
    started = time.monotonic()
    with ExitStack() as held:
        home = Path(held.enter_context(tempfile.TemporaryDirectory(prefix="driftline-demo-")))
        fault, watching = Fault(), read_monitoring(MONITORING)
        _say(started, "training on the census people of 2015; finding or starting Kafka")
        with ThreadPoolExecutor(1) as aside:
            preparing = aside.submit(_material, fault, share, home / "model")
            settings = _settings(settings, home)
            kafka = held.enter_context(find_kafka(settings))
            material = preparing.result()
        _tell(started, material, fault)
        port = settings.api_port if is_free(settings.api_port) else free_ports(1)[0]
        found = settings.model_copy(
            update={
                "bootstrap_servers": kafka.bootstrap_servers,
                "model_path": material.bundle,
                "api_port": port,
            }
        )
        stack = held.enter_context(Stack(found))
        try:
            return _shown(stack, material, _expected(material, fault, watching), watching,
                          started=started, keep=keep, rate=rate, live=live)  # fmt: skip
        except KeyboardInterrupt:
            return INTERRUPTED


def _shown(
    stack: Stack, material: Material, expected: Expected, watching: MonitoringFile,
    *, started: float, keep: bool, rate: float | None, live: bool,
) -> int:  # fmt: skip
    asyncio.run(_register(stack.settings, material.trained, watching))
    stack.until_ready()
    _say(started, f"worker and API are up: {stack.address}/dashboard")
    _live_requests(stack.address, material.trained)
    _say(started, f"replaying {material.story.events:,} events as {MODEL} {REPLAYED}\n")
    streaming = Streaming(stack.settings, MODEL, REPLAYED, material.story, expected, rate)
    with screen(live=live) as shown:
        seconds = asyncio.run(streaming.run(shown, lambda: stack.wait(0)))
    passed = _summary(streaming, seconds, started, stack.restarts())
    if keep:
        print(f"\nThe page stays up at {stack.address}/dashboard until Ctrl-C.", flush=True)
        stack.wait()
    return 0 if passed else 1


def _material(fault: Fault, share: float, bundle: Path) -> Material:
    reference, later = census()
    trained = train(reference)
    kinds: dict[str, Kind] = {name: "numeric" if name in NUMERIC else "categorical" for name in FEATURES}
    save_bundle(
        bundle, trained.pipeline, kinds, model=MODEL, model_version=LIVE,
        training={
            "training_metrics": {"accuracy": trained.accuracy}, "positive_label": "1",
            "labels": {"0": "not employed", "1": "employed"},
        },
    )  # fmt: skip
    if share < 1.0:
        later = later.sample(frac=share, random_state=SEED).sort_index()
    return Material(trained, bundle, story(later, trained.pipeline, fault))


def _settings(settings: Settings, home: Path) -> Settings:
    """Return settings with topics, state and files of this run's own, on a running Kafka, if there is one."""
    run_name = f"demo-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    return settings.model_copy(
        update={
            "bootstrap_servers": running_kafka(settings), "prefix": f"{run_name}.", "group": run_name,
            "state_dir": home / "state", "alerts_dir": home / "alerts", "log_level": "WARNING",
            "record_history": False,
        }
    )  # fmt: skip


def _expected(material: Material, fault: Fault, watching: MonitoringFile) -> Expected:
    return Expected(fault, watching.monitoring, material.story.people["timestamp"].to_numpy())


async def _register(settings: Settings, trained: DemoModel, watching: MonitoringFile) -> None:
    for version in (LIVE, REPLAYED):
        await register(settings, MODEL, version, trained.reference, watching)


def _live_requests(address: str, trained: DemoModel) -> None:
    """Send a few people from the reference to the served model, and print its predictions."""
    people = trained.reference.sample(LIVE_REQUESTS, random_state=SEED)
    for person, employed in zip(people[list(FEATURES)].to_dict("records"), people[TRUTH], strict=True):
        answer = httpx.post(f"{address}/predict", json={"features": person}, timeout=10)
        answer.raise_for_status()
        said = answer.json()
        print(
            f"           POST /predict  age {person['AGEP']:.0f}, schooling {person['SCHL']}: "
            f"{said['prediction_label']} ({said['probability']:.2f}), in truth {'' if employed else 'not '}employed"
        )


def _tell(started: float, material: Material, fault: Fault) -> None:
    trained, people = material.trained, len(material.story.people)
    again, tested = material.story.events - 2 * people, len(trained.reference)
    _say(started, f"trained on {trained.people:,} people; accuracy {trained.accuracy:.3f} on {tested:,} others")
    _say(started, f"to replay: {people:,} people of 2016 to 2018, truth 1 to 30 days late, {again:,} repeats")
    _say(started, f"the fault to be found: {fault.words}")


def _summary(streaming: Streaming, seconds: float, started: float, restarts: int) -> bool:
    """Print the results. Return whether all checks passed."""
    checks = verdict(streaming.seen, streaming.expected)
    print("\nAlerts")
    for alert in sorted((a for a in streaming.seen.alerts if a.status == "firing"), key=lambda a: a.started_at):
        print(f"  {alert.started_at:%Y-%m-%d}  {alert.level:<9} {alert.title}")
        if alert.summary is not None:
            for fact in [fact for fact in alert.summary.facts if fact.kind in NUMBERS][:1]:
                print(f"              {line_of(fact, alert.summary)}")
    worst = min((w for w in streaming.seen.ordered if w.realised is not None), key=_realised, default=None)
    if worst is not None and worst.realised is not None and worst.estimated is not None:
        truth, estimate = f"{worst.realised:.3f} in truth", f"{worst.estimated:.3f} as estimated without it"
        print(f"  in the window to {worst.end:%Y-%m-%d} accuracy is {truth}, {estimate}:")
        print("  the broken model is sure of its wrong answers, and only the truth shows that")
    print("\nSummary")
    for check in checks:
        print(f"  {'ok    ' if check.passed else 'FAILED'}  {check.words}")
    rate = streaming.sent / seconds if seconds > 0 else 0.0
    print(f"  {streaming.sent:,} events through the stream in {seconds:.1f} s ({rate:,.0f} events/s), "
          f"{time.monotonic() - started:.0f} s in all, {restarts} restarts", flush=True)  # fmt: skip
    return all(check.passed for check in checks)


def _realised(window: DemoWindow) -> float:
    return 1.0 if window.realised is None else window.realised


def _say(started: float, words: str) -> None:
    print(f"[{time.monotonic() - started:6.1f} s] {words}", flush=True)
