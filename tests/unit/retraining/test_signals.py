"""Signals to retrain: which alerts ask for one, how often, and how the hooks are told."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import msgspec
import pytest

from app.retraining import HookFailed, SignalsTable, hooks_of, of_alert, of_check
from app.settings.settings import SettingsError, load_settings
from tests.support.alert_events import alert_event
from topics.events import AlertEvent, RetrainingEvent

NOW = datetime(2026, 6, 1, tzinfo=UTC)
LABELS = {"model": "churn", "model_version": "3"}


def alert(rule: str = "data_drift", status: str = "firing", number: str = "1") -> AlertEvent:
    return msgspec.structs.replace(alert_event(number), rule=rule, status=status, labels=LABELS)


def signal(seconds: float = 0.0, number: str = "1", version: str = "3") -> RetrainingEvent:
    found = of_alert(alert(number=number), NOW + timedelta(seconds=seconds))
    assert found is not None
    return msgspec.structs.replace(found, model_version=version)


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        ("data_drift", "drift"), ("critical_feature", "drift"), ("prediction_drift", "drift"),
        ("performance", "performance"), ("traffic", None), ("feedback", None), ("monitor", None),
    ],
)  # fmt: skip
def test_alerts_of_drift_and_performance_ask_and_no_others(rule: str, reason: str | None) -> None:
    found = of_alert(alert(rule), NOW)
    assert (None if found is None else found.reason) == reason
    assert of_alert(alert(rule, "resolved"), NOW) is None
    assert of_alert(msgspec.structs.replace(alert(rule), labels={}), NOW) is None


def view_of(*signals: RetrainingEvent) -> SignalsTable:
    view = SignalsTable(load_settings())
    for offset, one in enumerate(signals):
        view._apply(b"", msgspec.json.encode(one), offset)
    return view


def test_a_model_version_is_signalled_once_in_its_debounce() -> None:
    view = view_of(signal(0))
    assert view.debounced(signal(59, "2"), 60)
    assert not view.debounced(signal(60, "2"), 60)
    assert not view.debounced(signal(1, "2", version="4"), 60)
    assert not view_of().debounced(signal(), 60)
    check = of_check("churn", "3", "drift", "m", {}, NOW + timedelta(seconds=30))
    assert view.debounced(check, 60)


def test_an_alert_that_is_read_again_signals_nothing_even_without_a_debounce() -> None:
    assert view_of(signal(0)).debounced(signal(100), 0)
    assert not view_of(signal(0)).debounced(signal(100, "2"), 0)


def test_what_is_no_signal_is_let_pass() -> None:
    view = view_of(signal(0))
    view._take(b"", b"{", 1)
    view._apply(b"", None, 2)
    assert view.debounced(signal(1, "2"), 60)


def script(path: Path, text: str) -> str:
    path.write_text(text)
    return json.dumps([sys.executable, str(path)])


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


async def test_a_program_is_given_the_event_and_no_shell(tmp_path: Path) -> None:
    copy = script(tmp_path / "copy.py", "import sys; open(sys.argv[1], 'w').write(sys.stdin.read())")
    out = tmp_path / "a; touch b $(id)"
    (hook,) = hooks_of(load_settings(retraining_command=[*json.loads(copy), str(out)]))
    event = msgspec.json.encode(signal())
    await hook.run(event)
    assert out.read_bytes() == event
    assert names_in(tmp_path) == {"copy.py", out.name}


async def test_a_program_that_fails_hangs_or_is_not_there_is_said_to(tmp_path: Path) -> None:
    fails = script(tmp_path / "fails.py", "raise SystemExit(3)")
    child = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(60)'])"
    hangs = script(tmp_path / "hangs.py", child)
    for command, words in ((fails, "exit status 3"), (hangs, "not done after 0.5 s"), ("/no/such", "No such file")):
        (hook,) = hooks_of(load_settings(retraining_command=command, retraining_timeout_seconds=0.5))
        began = time.monotonic()
        with pytest.raises(HookFailed, match=words):
            await hook.run(b"{}")
        assert time.monotonic() - began < 30


async def test_a_program_ends_with_whoever_started_it(tmp_path: Path) -> None:
    named = tmp_path / "pid"
    new, done = f"{named}.new", str(named)
    text = f"import os, time; open({new!r}, 'w').write(str(os.getpid())); os.rename({new!r}, {done!r}); time.sleep(60)"
    (hook,) = hooks_of(load_settings(retraining_command=script(tmp_path / "long.py", text)))
    running = asyncio.create_task(hook.run(b"{}"))
    async with asyncio.timeout(20):
        while not named.exists():  # noqa: ASYNC110 - a process tells by a file
            await asyncio.sleep(0.02)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    with pytest.raises(ProcessLookupError):
        os.kill(int(named.read_text()), 0)


@contextmanager
def receiver(status: int) -> Iterator[tuple[str, list[bytes]]]:
    taken: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            taken.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/secret", taken
        server.shutdown()


@pytest.mark.usefixtures("direct")
async def test_a_webhook_is_posted_to_and_its_address_is_told_nowhere(logged: pytest.LogCaptureFixture) -> None:
    with receiver(204) as (url, taken):
        (hook,) = hooks_of(load_settings(retraining_webhook=url))
        await hook.run(b'{"a": 1}')
    assert taken == [b'{"a": 1}']
    with receiver(500) as (url, _):
        (hook,) = hooks_of(load_settings(retraining_webhook=url))
        with pytest.raises(HookFailed) as error:
            await hook.run(b"{}")
    with pytest.raises(HookFailed) as gone:
        await hook.run(b"{}")
    assert str(error.value) == "retraining_webhook: status 500"
    assert "secret" not in str(gone.value) + logged.text


def test_the_program_is_words_a_json_list_or_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for value in ("train.sh --model 'a b'", '["train.sh", "--model", "a b"]'):
        monkeypatch.setenv("DRIFTLINE_RETRAINING_COMMAND", value)
        assert load_settings().retraining_command == ("train.sh", "--model", "a b")
    for wrong in ("[1", "'", "[]"):
        monkeypatch.setenv("DRIFTLINE_RETRAINING_COMMAND", wrong)
        with pytest.raises(SettingsError, match="retraining_command"):
            load_settings()
    monkeypatch.delenv("DRIFTLINE_RETRAINING_COMMAND")
    assert hooks_of(load_settings()) == ()
    with pytest.raises(SettingsError, match="retraining_webhook: must start with"):
        load_settings(retraining_webhook="ftp://x")


async def test_a_program_gets_the_variables_that_are_named_and_none_of_the_workers_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DRIFTLINE_KAFKA_SASL_PASSWORD", "canary")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow")
    dump = script(tmp_path / "dump.py", "import json, os, sys; json.dump(dict(os.environ), open(sys.argv[1], 'w'))")
    out = tmp_path / "out.json"
    command = [*json.loads(dump), str(out)]
    (hook,) = hooks_of(load_settings(retraining_command=command, retraining_environment="MLFLOW_TRACKING_URI, NONE"))
    await hook.run(b"{}")
    found = json.loads(out.read_text())
    assert "canary" not in found.values()
    assert (found["PATH"], found["MLFLOW_TRACKING_URI"]) == (os.environ["PATH"], "http://mlflow")
