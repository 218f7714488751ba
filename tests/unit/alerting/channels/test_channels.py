"""The contract of every channel, and what each promises beyond it."""

from __future__ import annotations

import asyncio
import errno
import logging
import multiprocessing
import os
import re
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from app.alerting.channels import channels_of
from app.alerting.channels.file import FileChannel
from app.alerting.channels.log import LogChannel
from app.alerting.notify.channel import Channel, Delivered, Permanent, Retryable
from tests.support.alert_events import DAY, alert_event, notification_of, resolved
from topics.events import AlertEvent


def lines_of(path: Path) -> list[AlertEvent]:
    return [msgspec.json.decode(line, type=AlertEvent) for line in path.read_bytes().splitlines()]


@pytest.fixture(params=sorted(channels_of(Path())))
def channel(request: pytest.FixtureRequest, tmp_path: Path) -> Channel:
    return channels_of(tmp_path)[request.param]


async def test_delivers_firing_and_resolved(channel: Channel) -> None:
    for alert in (alert_event(), alert_event("a2", status="resolved", ended_at=DAY)):
        assert isinstance(await channel.deliver(notification_of(alert)), Delivered)


async def test_takes_the_same_alert_again(channel: Channel) -> None:
    outcomes = [await channel.deliver(notification_of(alert_event())) for _ in range(2)]
    assert all(isinstance(outcome, Delivered) for outcome in outcomes)


async def test_takes_many_at_once(channel: Channel) -> None:
    outcomes = await asyncio.gather(*(channel.deliver(notification_of(alert_event(str(i)))) for i in range(20)))
    assert all(isinstance(outcome, Delivered) for outcome in outcomes)


async def test_takes_any_text(channel: Channel) -> None:
    hostile = "a\nb\x1b[31m\r\u2028 💥 %s {x}"
    assert isinstance(await channel.deliver(notification_of(alert_event(title=hostile, message=hostile))), Delivered)


def test_channels_are_known_by_their_own_names(tmp_path: Path) -> None:
    assert all(channel.name == name for name, channel in channels_of(tmp_path).items())


async def test_log_writes_one_line_at_the_alerts_level(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "driftline.alerts")
    channel = LogChannel()
    await channel.deliver(notification_of(alert_event(title="x\nFAKE \x1b[31m")))
    await channel.deliver(notification_of(alert_event(status="resolved")))
    assert [record.levelno for record in caplog.records] == [logging.ERROR, logging.INFO]
    first = caplog.records[0].getMessage()
    assert first == "firing: x FAKE  [31m. Since May; age is off [a1]"


async def test_log_and_file_have_a_line_a_transition_in_the_order_of_events(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "driftline.alerts")
    first, second = alert_event("a1"), alert_event("a2", fingerprint="g")
    told = notification_of(second, resolved(first, "a3"), first)
    for channel in (LogChannel(), FileChannel(tmp_path)):
        await channel.deliver(told)
    in_log = [re.findall(r"\[(\w+)\]", record.getMessage())[0] for record in caplog.records]
    in_file = [alert.alert_id for alert in lines_of(tmp_path / "alerts-2017-05-01.jsonl")]
    assert in_log[-1] == "a3"
    assert sorted(in_log[:2]) == ["a1", "a2"]
    assert in_file == in_log


async def test_file_keeps_a_file_a_day_with_each_alert_once(tmp_path: Path) -> None:
    channel = FileChannel(tmp_path / "deep" / "down")
    first, second = alert_event("a1"), alert_event("a2", emitted_at=datetime(2017, 5, 2, tzinfo=UTC))
    for alert in (first, second, first):
        await channel.deliver(notification_of(alert))
    assert lines_of(tmp_path / "deep/down/alerts-2017-05-01.jsonl") == [first]
    assert lines_of(tmp_path / "deep/down/alerts-2017-05-02.jsonl") == [second]


async def test_file_knows_after_a_restart_what_it_has_told(tmp_path: Path) -> None:
    await FileChannel(tmp_path).deliver(notification_of(alert_event()))
    await FileChannel(tmp_path).deliver(notification_of(alert_event()))
    assert lines_of(tmp_path / "alerts-2017-05-01.jsonl") == [alert_event()]


async def test_file_cuts_off_the_half_line_of_a_killed_process(tmp_path: Path) -> None:
    path = tmp_path / "alerts-2017-05-01.jsonl"
    whole = msgspec.json.encode(alert_event("a1")) + b"\n"
    path.write_bytes(whole + msgspec.json.encode(alert_event("a2"))[:50])
    assert isinstance(await FileChannel(tmp_path).deliver(notification_of(alert_event("a2"))), Delivered)
    assert lines_of(path) == [alert_event("a1"), alert_event("a2")]


async def test_file_begins_anew_when_its_file_was_moved_away(tmp_path: Path) -> None:
    channel = FileChannel(tmp_path)
    path = tmp_path / "alerts-2017-05-01.jsonl"
    await channel.deliver(notification_of(alert_event("a1")))
    path.rename(tmp_path / "archived")
    await channel.deliver(notification_of(alert_event("a2")))
    assert lines_of(path) == [alert_event("a2")]


def _write_from_another_process(directory: Path, who: int) -> None:
    async def write() -> None:
        channel = FileChannel(directory)
        for i in range(30):
            await channel.deliver(notification_of(alert_event(f"own-{who}-{i}", message="x" * 5000)))
            await channel.deliver(notification_of(alert_event(f"shared-{i}")))

    asyncio.run(write())


@pytest.mark.slow
def test_file_is_shared_by_processes(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write_from_another_process, args=(tmp_path, who)) for who in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    told = [alert.alert_id for alert in lines_of(tmp_path / "alerts-2017-05-01.jsonl")]
    assert sorted(told) == sorted(
        [f"own-{w}-{i}" for w in range(3) for i in range(30)] + [f"shared-{i}" for i in range(30)]
    )


async def test_file_in_the_way_is_permanent_and_says_what_to_change(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    outcome = await FileChannel(tmp_path / "taken" / "alerts").deliver(notification_of(alert_event()))
    assert isinstance(outcome, Permanent)
    assert "alerts_dir" in outcome.reason


async def test_full_disk_is_retryable_and_leaves_no_half_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    channel, path = FileChannel(tmp_path), tmp_path / "alerts-2017-05-01.jsonl"
    await channel.deliver(notification_of(alert_event("a1")))
    write = os.write

    def half(fd: int, data: bytes) -> int:
        if len(data) > 100:
            return write(fd, data[:100])
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("app.alerting.channels.file.os.write", half)
        outcome = await channel.deliver(notification_of(alert_event("a2")))
    assert isinstance(outcome, Retryable)
    assert lines_of(path) == [alert_event("a1")]
    assert isinstance(await channel.deliver(notification_of(alert_event("a2"))), Delivered)
    assert lines_of(path) == [alert_event("a1"), alert_event("a2")]
