"""Whatever part of a worker fails, the process ends soon, with its status, and the failure's own words come last."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import ExitStack

import httpx
import pytest
from confluent_kafka import Producer

from app.kafka.topics import ensure_topics
from app.local.kafka_probe import free_ports
from app.processes.crash import FAILED, HELD
from app.processes.guarded import GuardedProcess
from app.settings.settings import Settings
from tests.support.stream import register_model, worker
from tests.support.worker_process import log_of, quick
from topics.registry import PREDICTIONS

STALL_SECONDS = 110.0
"""The watchdog's time: what ends later than this was not ended by the failure."""
FAULTY = """
import asyncio, sys

what = sys.argv[1]
if what == "codec":
    sys.modules["cramjam"] = None  # as where it is not installed

import app.worker.process as process
from agents.join.agent import JoinAgent
from app.faust_batches.changelog_producer import ChangelogProducer
from app.faust_batches.consumer_thread import ConsumerThread
from app.settings.settings import load_settings
from app.alerting.silences.table import SilencesTable
from app.faust_batches.transport import BatchConsumer
from app.worker.health import WorkerHealth
from faust.app.base import App
from faust.tables.recovery import Recovery

def fail(*_, **__):
    raise RuntimeError("a canary that may be a feature's value")

async def fail_later(*_, **__):
    fail()

async def hang(*_, **__):
    await asyncio.Event().wait()

async def cancel(*_, **__):
    asyncio.current_task().cancel()
    await asyncio.sleep(0)

async def cancel_fetching(*_, **__):
    await cancel()
    yield

process.GARBAGE_SECONDS = 0.5
owner, name, fault = {
    "agent": (JoinAgent, "handle", fail_later),
    "recovery": (Recovery, "_build_highwaters", fail_later),
    "changelog producer": (ChangelogProducer, "on_start", fail_later),
    "consumer thread": (ConsumerThread, "on_start", fail_later),
    "fetching": (ConsumerThread, "_fetch_records", fail_later),
    "timer of Faust's": (BatchConsumer, "commit", fail_later),
    "timer of ours": (process.gc, "collect", fail),
    "view": (SilencesTable, "followed", fail_later),
    "metrics": (WorkerHealth, "look", fail),
    "start that hangs": (App, "on_started", hang),
    "cancelled agent": (JoinAgent, "handle", cancel),
    "cancelled timer": (BatchConsumer, "commit", cancel),
    "cancelled fetcher": (BatchConsumer, "getmany", cancel_fetching),
    "cancelled view": (SilencesTable, "_follow", cancel),
    "codec": (process, "unused", None),
}[what]
setattr(owner, name, fault)
sys.exit(process.run_worker(load_settings()))
"""
"""A worker of which one part fails, or hangs while it starts: the first argument."""

LAST_WORDS = {
    "agent": "agent join failed; the worker ends, so that nothing is skipped: RuntimeError at <string>",
    "recovery": "driftline: the worker crashed in KeepingRecovery: RuntimeError at <string>",
    "changelog producer": "driftline: the worker's start failed: RuntimeError at <string>",
    "consumer thread": "RuntimeError at <string>",  # the thread or the start that waits for it: whichever is first
    "fetching": "driftline: the worker crashed in Fetcher: RuntimeError at <string>",
    "timer of Faust's": "driftline: the worker crashed in BatchConsumer: RuntimeError at <string>",
    "timer of ours": "driftline: the worker's collection of garbage failed: RuntimeError at <string>",
    "view": "driftline: the worker's reading of silences failed: RuntimeError at <string>",
    "cancelled agent": "agent join failed; the worker ends: it was cancelled, though nothing stops the worker",
    "cancelled timer": "driftline: the worker's task Consumer._commit_handler failed: WasCancelled: it was cancelled",
    "cancelled fetcher": "driftline: the worker crashed in Fetcher: WasCancelled: it was cancelled, though no",
    "cancelled view": "driftline: the worker's reading of silences failed: WasCancelled: it was cancelled, though noth",
    "metrics": "driftline: the worker's metrics failed: RuntimeError at <string>",
}


@pytest.mark.timeout(300)
async def test_whatever_fails_ends_the_process_with_its_own_words_last(settings: Settings) -> None:
    (port,) = free_ports(1)
    settings = quick(settings).model_copy(update={"stall_seconds": STALL_SECONDS})
    await ensure_topics(settings)
    await register_model(settings)
    loop = asyncio.get_running_loop()
    with ExitStack() as workers:

        def start(what: str) -> GuardedProcess:
            more = {"metrics_port": port} if what == "metrics" else {}
            mine = settings.model_copy(update={"group": f"{settings.group}-{what.replace(' ', '-')[:12]}", **more})
            return workers.enter_context(worker(mine, what, ("-c", FAULTY, what)))

        names = [*LAST_WORDS, "start that hangs"]
        running = {what: start(what) for what in names}
        scraping = asyncio.create_task(scrape(f"http://127.0.0.1:{port}/metrics"))
        statuses = {}
        for what, process in running.items():
            if what == "start that hangs":
                await answered(settings, what)
                os.kill(process.pid, signal.SIGTERM)
            statuses[what] = await loop.run_in_executor(None, process.wait, STALL_SECONDS)
        await scraping
    wanted = dict.fromkeys(names, FAILED) | {"start that hangs": 0}
    assert statuses == wanted, log_of(settings)
    for what, words in LAST_WORDS.items():
        assert words in last_line(settings, what)
        assert "canary" not in last_line(settings, what)


async def answered(settings: Settings, what: str) -> None:
    """Wait until the worker is so far that it has recovered: its start goes on from there."""
    async with asyncio.timeout(STALL_SECONDS):
        while "recovered, reading on" not in log_of(settings, what):  # noqa: ASYNC110 - another process's log
            await asyncio.sleep(0.05)


async def scrape(url: str) -> None:
    """Ask for the metrics until that has failed."""
    async with asyncio.timeout(STALL_SECONDS), httpx.AsyncClient(trust_env=False) as client:
        answered = False
        while not answered:
            try:
                await client.get(url)
            except httpx.ConnectError:
                await asyncio.sleep(0.05)  # it does not listen yet
            except httpx.TransportError:
                answered = True


def last_line(settings: Settings, what: str) -> str:
    return (settings.state_dir / f"{what}.log").read_text().splitlines()[-1]


@pytest.mark.timeout(150)
async def test_a_codec_that_is_not_there_is_one_line_that_names_the_record(settings: Settings) -> None:
    await ensure_topics(settings)
    name = PREDICTIONS.full_name(settings.prefix)
    producer = Producer({"bootstrap.servers": settings.bootstrap_servers, "compression.type": "snappy"})
    for _ in range(5):
        producer.produce(name, b"{}" * 100, b"key", partition=1)
    assert producer.flush(30) == 0
    with worker(settings, "codec", ("-c", FAULTY, "codec")) as process:
        assert await asyncio.to_thread(process.wait, STALL_SECONDS) == HELD, log_of(settings)
    assert last_line(settings, "codec") == (
        f"driftline: {name} partition 1 offset 0: the batch up to offset 4 cannot be "
        "read (UnsupportedCodecError: Libraries for snappy compression codec not found): install cramjam, which reads "
        "it; then start again"
    )
