"""Commands against a real broker: what they follow, what they refuse, and what they leave running."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import socket
import subprocess
import termios
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd
import psutil
import pytest

from app.kafka.producer import Producer
from app.kafka.topics import ensure_topics
from app.local.stack import Stack
from app.processes.supervisor import ChildFailed
from app.settings.settings import Settings, environment
from tests.support import stream
from tests.support.alert_events import alert_event
from tests.support.reports import drift_report, end_of, feature
from tests.support.run_command import command_of, driftline, heeds_ctrl_c, running
from topics.events import DriftReport
from topics.levels import LEVELS
from topics.registry import ALERTS, REPORTS


@contextmanager
def on_a_terminal(
    settings: Settings, *arguments: str
) -> Iterator[tuple[Callable[[str], str], subprocess.Popen[bytes]]]:
    """A command on a terminal of 80 by 24; what it has written there, once that has some words."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    env = environment(settings) | {"TERM": "xterm-256color"}
    with heeds_ctrl_c():
        process = subprocess.Popen(command_of(*arguments), stdin=theirs, stdout=theirs, stderr=theirs, env=env)
    os.close(theirs)
    written = b""

    def seen(words: str) -> str:
        nonlocal written
        while words not in (text := written.decode("utf-8", "ignore")):
            assert select.select([ours], [], [], 30)[0], text
            written += os.read(ours, 65536)
        return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text)

    try:
        yield seen, process
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def report_of(window: int, age: float = 0.02) -> DriftReport:
    report = drift_report(window, features=[feature("age", age), feature("sex")])
    return msgspec.structs.replace(report, model=stream.MODEL, model_version=stream.VERSION)


async def publish(settings: Settings, *reports: DriftReport) -> None:
    async with Producer(settings) as producer:
        for report in reports:
            await producer.send(REPORTS, b"key", msgspec.json.encode(report))


@pytest.mark.timeout(90)
@pytest.mark.parametrize("as_json", [False, True])
async def test_reports_are_followed_until_ctrl_c(settings: Settings, as_json: bool) -> None:
    await ensure_topics(settings)
    await stream.register_model(settings)
    await publish(settings, report_of(0))
    arguments = ["reports", "--model", stream.MODEL, "--follow", *(["--json"] if as_json else [])]
    with running(settings, *arguments) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline()]
        for window in (1, 2):
            await publish(settings, report_of(window, 0.4))
            lines.append(process.stdout.readline())
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert (rest, errors) == ("", "")
    if as_json:
        assert [json.loads(line)["drift_detected"] for line in lines] == [False, True, True]
    else:
        assert [line.split()[:2] for line in lines] == [f"{end_of(i):%Y-%m-%d %H:%M:%S}".split() for i in range(3)]
        assert ["DRIFT" in line for line in lines] == [False, True, True]


async def test_register_says_what_is_found_and_when_at_the_rate_of_the_version_before(
    settings: Settings, tmp_path: Path
) -> None:
    await ensure_topics(settings)
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"age": rng.normal(size=600), "prediction": rng.integers(0, 2, 600)})
    frame["actual"] = frame["prediction"]
    frame.to_csv(tmp_path / "reference.csv", index=False)
    arguments = ("register", "--model", stream.MODEL, "--version", "9", "--reference", str(tmp_path / "reference.csv"))
    report = report_of(0)
    hours = (report.window_end - report.window_start).total_seconds() / 3600
    await publish(settings, msgspec.structs.replace(report, n=round(2000 * hours)))
    known = driftline(settings, *arguments)
    assert f"(as of version {stream.VERSION} by {end_of(0):%Y-%m-%d %H:%M} UTC):" in known.stdout, known.stdout
    lines = known.stdout.splitlines()
    assert any(re.match(r"mean moved by 1 sd +\d+ min +\d+$", line) for line in lines), known.stdout
    assert any(line.startswith("accuracy 1 down by 20 points") and "of truth" in line for line in lines)


async def test_a_model_that_is_not_registered_is_named_with_those_that_are(settings: Settings) -> None:
    await ensure_topics(settings)
    nothing = driftline(settings, "reports", "--model", "steam")
    assert (nothing.returncode, "nothing is registered" in nothing.stderr) == (2, True)
    await stream.register_model(settings)
    asked = (
        ["reports", "--model", "steam"],
        ["reports", "--model", "steam", "--follow"],
        ["reports", "--model", stream.MODEL, "--version", "7"],
        ["alerts", "list", "--model", "steam"],
        ["replay", "--model", stream.MODEL, "--version", "7", "--predictions", __file__],
    )
    for arguments in asked:
        answer = driftline(settings, *arguments)
        (line,) = answer.stderr.splitlines()
        assert (answer.returncode, answer.stdout) == (2, "")
        assert "is not registered (registered: stream 1)" in line


async def test_a_model_without_reports_or_alerts_is_no_error(settings: Settings) -> None:
    await ensure_topics(settings)
    await stream.register_model(settings)
    reports = driftline(settings, "reports", "--model", stream.MODEL)
    assert (reports.returncode, reports.stdout, reports.stderr) == (0, "no reports yet\n", "")
    async with Producer(settings) as producer:
        await producer.send(ALERTS, b"key", msgspec.json.encode(alert_event("1")))
    alerts = driftline(settings, "alerts", "list", "--model", stream.MODEL)
    assert (alerts.returncode, alerts.stdout, alerts.stderr) == (0, "no alerts\n", "")
    level = alert_event("1").level
    every = driftline(settings, "alerts", "list", "--level", level, "--json")
    assert json.loads(every.stdout)["alert_id"] == "1"
    other = next(one for one in LEVELS if one != level)
    assert driftline(settings, "alerts", "list", "--level", other).stdout == "no alerts\n"


def children() -> set[psutil.Process]:
    return set(psutil.Process().children(recursive=True))


@contextmanager
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        yield taken.getsockname()[1]


def test_a_port_that_is_taken_is_one_clear_line_before_anything_runs(settings: Settings) -> None:
    with taken_port() as port:
        answer = driftline(settings, "up", "--port", str(port))
    assert (answer.returncode, answer.stdout) == (2, "")
    (line,) = answer.stderr.splitlines()
    assert line.startswith(f"driftline: the API cannot listen on 127.0.0.1:{port} (Address already in use)")
    assert "--port or DRIFTLINE_API_PORT" in line
    assert not settings.state_dir.exists()


def test_a_port_that_is_taken_meanwhile_ends_all_of_the_stack(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = children()
    with taken_port() as port:
        monkeypatch.setattr("app.local.stack.listen", lambda host, port: socket.socket())  # it was free just before
        taken = settings.model_copy(update={"api_port": port})
        with Stack(taken) as stack:
            started = children() - before
            with pytest.raises(ChildFailed, match=r"^api: driftline: the API cannot listen on .* DRIFTLINE_API_PORT"):
                stack.wait(60)
    assert len(started) >= 2
    assert not psutil.wait_procs(list(started), timeout=10)[1]
    assert children() <= before


async def test_top_and_report_tell_what_the_stream_has_found(settings: Settings, tmp_path: Path) -> None:
    await ensure_topics(settings)
    nothing = driftline(settings, "report", "--model", "a", "--version", "1", "--html", str(tmp_path / "a.html"))
    assert (nothing.returncode, "is not registered (nothing is registered)" in nothing.stderr) == (2, True)
    await publish(settings, report_of(1), report_of(2, age=0.5))
    told = json.loads(driftline(settings, "top", "--json").stdout)
    (model,) = told["models"]
    assert (model["model"], model["state"], model["drift_share"]) == (stream.MODEL, "drifting", 0.5)
    once = driftline(settings, "top", "--once").stdout
    assert "1 of 1 model versions needs attention" in once
    assert re.search(r"drifting +stream 1 +█+ +50%", once)
    with on_a_terminal(settings, "top") as (seen, process):
        assert re.search(r"drifting.* stream 1 +█+ +50%", seen("50%"))
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
    named = ("report", "--model", stream.MODEL, "--version", stream.VERSION, "--html", str(tmp_path / "page.html"))
    newest = json.loads(driftline(settings, *named, "--json").stdout)
    assert newest["window_end"] == "2017-05-01T02:00:00Z"
    assert "Data drift: 1 of 2 features" in (tmp_path / "page.html").read_text()
    driftline(settings, *named, "--window", "2017-05-01T03:00+02:00")
    assert "No data drift" in (tmp_path / "page.html").read_text()
    for window, words in (("2017-05-01T05:00Z", "near it: 2017-05-01T01:00:00Z"), ("soon", "is no time"),
                          ("2017-05-01T01:00", "has no time zone")):  # fmt: skip
        wrong = driftline(settings, *named, "--window", window)
        assert (wrong.returncode, words in wrong.stderr) == (2, True), wrong.stderr
