"""Records that nobody of ours has sent, in every topic of ours: all go on, and name them by their place."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

import msgspec
import pytest
from aiokafka import AIOKafkaProducer

from app.kafka.topics import ensure_topics
from app.settings.settings import Settings, environment
from tests.support.api import client_of, ready
from tests.support.run_command import typed
from tests.support.stream import (
    MODEL,
    VERSION,
    Counts,
    differences,
    register_model,
    send,
    truth,
    until,
    until_equal,
    worker,
)
from topics.partition import partition_of
from topics.registry import (
    ALERTS,
    DEAD_LETTERS,
    DELIVERIES,
    DEPLOYMENTS,
    FEEDBACK,
    MODELS,
    PANES,
    PREDICTIONS,
    RECEIVERS,
    REPORTS,
    RETRAINING,
    SERVED,
    SILENCES,
    TOPICS,
    TRAINING_RUNS,
    UNDELIVERED,
    VERSIONS,
    Topic,
)

OURS = [topic for topic in TOPICS if topic not in (PREDICTIONS, FEEDBACK)]
NAMES: dict[str, object] = {"model": MODEL, "model_version": VERSION, "profile_id": "p"}
NAIVE = "2026-06-01T12:00:00"
PANE: dict[str, object] = {
    **NAMES, "type": "pane", "kind": "input", "pane_start": 1e300, "partition": 7, "revision": 1, "n": 1,
    "indices": "AAA=", "counts": "", "sums": "",
}  # fmt: skip
REPORT: dict[str, object] = {
    **NAMES, "kind": "monitor", "window_start": NAIVE, "window_end": NAIVE, "revision": 1, "n": 1, "sufficient": True,
    "emitted_at": NAIVE, "worker": "w", "lag": {}, "behind_seconds": 0, "dead_letters": {},
}  # fmt: skip
ALERT: dict[str, object] = {
    "alert_id": "a", "fingerprint": "f", "status": "firing", "level": "error", "rule": "r", "title": "t",
    "message": "", "labels": {}, "started_at": NAIVE, "ended_at": None, "evidence": {}, "links": {},
    "emitted_at": NAIVE,
}  # fmt: skip
REGISTERED: dict[str, object] = {
    "model": "stray", "model_version": "1", "registered_at": "2026-06-01T12:00:00Z", "profile": {"features": [{}]},
    "monitoring": {"windows": {"pane": 0}},
}  # fmt: skip
AWKWARD: list[bytes] = [
    b"", b"not JSON", b"\xff\xfe\x00", b"null", b"[]", b"{}", b"7", b'"text"', b"[" * 20_000, b'{"a":' * 20_000,
    b'{"x":"' + b"y" * 900_000 + b'"}', b'{"kind":"drift"}', b'{"type":"pane","model":7}',
    *(msgspec.json.encode(one) for one in (PANE, REPORT, ALERT, REGISTERED)),
]  # fmt: skip
KEYS = [b"", b"\xff", b"a/b/c", None]

COMMANDS: list[tuple[Topic | None, tuple[str, ...]]] = [
    (REPORTS, ("reports", "--model", MODEL, "--json")),
    (REPORTS, ("alerts", "list", "--pending", "--json")),
    (ALERTS, ("alerts", "list", "--all", "--json")),
    (UNDELIVERED, ("alerts", "redeliver", "--all", "--dry-run", "--json")),
    (RETRAINING, ("retraining", "list", "--json")),
    (None, ("alerts", "silence", "list")),
    (None, ("alerts", "receivers", "list")),
    (None, ("alerts", "rules", "--model", MODEL)),
    (None, ("top", "--json")),
    (None, ("dead-letters", "list", "--json")),
    (None, ("dead-letters", "show", "--last", "500")),
    (None, ("report", "--model", MODEL, "--version", VERSION, "--html", "page.html")),
]
"""Every command that reads topics of ours; those that name strays on standard error, with the topic."""
ROUTES = (
    "/ready?for=events", "/models", "/alerts", "/silences", "/receivers", "/monitor",
    *(f"/models/{MODEL}/{VERSION}/{of}" for of in ("drift", "performance", "alerts")),
)  # fmt: skip


async def stray(settings: Settings) -> dict[str, list[tuple[int, int]]]:
    """Send all that is awkward to each topic; where those with a value have come to lie."""
    found: dict[str, list[tuple[int, int]]] = {}
    async with AIOKafkaProducer(bootstrap_servers=settings.bootstrap_servers, max_request_size=4 << 20) as producer:
        for topic in OURS:
            name = topic.full_name(settings.prefix)
            partition = partition_of(MODEL, VERSION, topic.partitions(settings.partitions))
            await producer.send_and_wait(name, None, b"nobody's", partition=partition)
            if topic not in (PANES, MODELS):  # these are compacted, and a tombstone is one of theirs
                await producer.send_and_wait(name, None, b"\xff", partition=partition)
            keys = KEYS[:-1] if "compact" in topic.cleanup else KEYS  # the broker takes none without a key there
            placed = [
                await producer.send_and_wait(name, value, keys[i % len(keys)], partition=partition)
                for i, value in enumerate(AWKWARD)
            ]
            found[topic.name] = [(at.partition, at.offset) for at in placed]
    return found


def tolerant(take: Callable[[Counts, str, bytes], None]) -> Callable[[Counts, str, bytes], None]:
    """The same, for whom a stray is nothing."""

    def taking(counts: Counts, topic: str, value: bytes) -> None:
        if value not in AWKWARD:
            take(counts, topic, value)

    return taking


def named_once(text: str, topic: str, places: list[tuple[int, int]]) -> None:
    """Each place is named once, and that in one line."""
    for partition, offset in places:
        lines = [line for line in text.splitlines() if f"{topic} partition {partition} offset {offset} " in line]
        assert len(lines) == 1, f"{topic} {partition} {offset}: {lines}"


@pytest.mark.timeout(200)
async def test_strays_in_our_topics_stop_no_agent_view_or_command_and_are_named(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: object
) -> None:
    for name, value in environment(settings).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(str(tmp_path))
    monkeypatch.setattr(Counts, "take", tolerant(Counts.take))
    wanted = truth(300, seed=51)
    half = len(wanted.records) // 2
    await ensure_topics(settings)
    await register_model(settings)
    await send(settings, wanted.records[:half], close=False)
    recorder = worker(settings, "recorder", ("-m", "app.cli", "recorder"))
    with recorder as recording:
        with worker(settings, "first") as first:
            await until(settings, lambda counts: counts.predictions > 0, 40)
            places = await stray(settings)
            await send(settings, wanted.records[half:])
            counts = await until_equal(settings, wanted, 60)
            assert counts.equal(wanted), differences(counts, wanted)
            assert first.poll() is None
        more = truth(100, seed=52, duplicated=0.0)
        with worker(settings, "second") as second:  # which reads panes from their beginning
            await send(settings, more.records, close=False)
            counts = await until(settings, lambda counts: counts.predictions >= 400, 40)
            assert counts.predictions == 400
            assert second.poll() is None
            assert recording.poll() is None
            await check_commands(places, settings)
            await check_api(settings)
            assert "Traceback" not in caplog.text
    for name in ("first", "second", "recorder"):
        assert "Traceback" not in (settings.state_dir / f"{name}.log").read_text(), name
    log = (settings.state_dir / "first.log").read_text()
    for topic in (MODELS, SILENCES, RECEIVERS, VERSIONS):
        known = places[topic.name][:-1] if topic is MODELS else places[topic.name]  # a profile is read when asked for
        named_once(log, topic.full_name(settings.prefix), known)


async def check_commands(places: dict[str, list[tuple[int, int]]], settings: Settings) -> None:
    """No command ends in a traceback; each names the strays of the topic that it lists."""
    for topic, words in COMMANDS:
        status, out, err = await asyncio.to_thread(typed, *words)
        assert status == 0, (words, status, out[-500:], err[-2000:])
        if topic is not None:
            named_once(err, topic.full_name(settings.prefix), places[topic.name])
        if words[-1] == "--json":
            assert all(json.loads(line) is not None for line in out.splitlines()), words
    _, out, _ = await asyncio.to_thread(typed, "dead-letters", "list", "--json")
    found = [json.loads(line) for line in out.splitlines()]
    for topic in (PANES, REPORTS, ALERTS, DELIVERIES, TRAINING_RUNS, DEPLOYMENTS):
        dead = sum(one["letters"] for one in found if one["topic"] == topic.name)
        assert dead >= len(places[topic.name]), (topic.name, dead)
    assert {one.name for one in OURS} >= {SERVED.name, DEAD_LETTERS.name}


async def check_api(settings: Settings) -> None:
    """An API that starts with the strays there is ready, and answers."""
    async with client_of(settings) as client:
        await ready(client)
        for route in ROUTES:
            answer = await client.get(route)
            assert answer.status_code == 200, (route, answer.text)
