"""The supervisor, with small children of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from app.processes.supervisor import Backoff, ChildCommand, ChildFailed, Supervisor

QUICK = Backoff(first=0.01, longest=0.04, healthy=30)
SLEEP = "import time; print('up', flush=True); time.sleep(60)"


def python(name: str, code: str) -> ChildCommand:
    return ChildCommand(name, [sys.executable, "-I", "-S", "-c", code])


def until(true: Callable[[], bool], seconds: float = 20) -> None:
    """Wait for what another process does and nobody tells us."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_child_that_is_killed_is_started_again() -> None:
    told: list[str] = []
    with Supervisor([python("worker", SLEEP)], tell=told.append, backoff=QUICK) as supervisor:
        first = supervisor.pids()["worker"]
        os.kill(first, signal.SIGKILL)
        until(lambda: supervisor.pids().get("worker", first) != first)
        assert supervisor.restarts() == {"worker": 1}
    assert told == ["worker ended (SIGKILL); it is started again in 0.0 s"]


def test_a_child_that_ends_on_its_own_is_started_again_even_with_status_0(tmp_path: Path) -> None:
    code = f"open({str(tmp_path / 'starts')!r}, 'a').write('x')"
    with Supervisor([python("api", code)], tell=lambda _line: None, backoff=QUICK) as supervisor:
        until(lambda: supervisor.restarts()["api"] >= 3)
    assert (tmp_path / "starts").read_text().startswith("xxx")


def test_a_child_that_cannot_be_helped_is_not_started_again(capfd: pytest.CaptureFixture[str]) -> None:
    code = "import sys; print('partitions differ', file=sys.stderr); sys.exit(78)"
    with Supervisor([python("worker", code), python("api", SLEEP)]) as supervisor:
        with pytest.raises(ChildFailed, match=r"^worker: partitions differ$"):
            supervisor.wait(20)
        assert supervisor.restarts()["worker"] == 0
    assert "partitions differ" in capfd.readouterr().err


def test_leaving_stops_every_child_and_its_guard() -> None:
    before = set(psutil.Process().children(recursive=True))
    with Supervisor([python("a", SLEEP), python("b", SLEEP)]) as supervisor:
        processes = set(psutil.Process().children(recursive=True)) - before
        assert len(processes) == 4
        assert {process.pid for process in processes} >= set(supervisor.pids().values())
    assert not psutil.wait_procs(list(processes), timeout=5)[1]
    assert supervisor.pids() == {}


def test_a_child_that_ignores_sigterm_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.processes.supervisor.GRACE_SECONDS", 0.2)
    ready, said = os.pipe()
    code = "import signal, time, os; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); "
    child = python("deaf", code + f"open('/proc/{os.getpid()}/fd/{said}', 'w').write('x'); time.sleep(60)")
    with Supervisor([child]) as supervisor:
        assert os.read(ready, 1) == b"x"
        process = psutil.Process(supervisor.pids()["deaf"])
    process.wait(5)
    os.close(ready)
    os.close(said)


def test_stop_ends_the_wait_of_another_thread() -> None:
    supervisor = Supervisor([python("a", SLEEP)])
    with supervisor:
        threading.Timer(0.05, supervisor.stop).start()
        assert supervisor.wait(20)


def test_a_command_that_does_not_exist_says_so() -> None:
    with pytest.raises(OSError, match="no-such-command"):
        Supervisor([ChildCommand("x", ["no-such-command"])]).start()


PARENT = """
import sys
from app.processes.supervisor import ChildCommand, Supervisor
supervisor = Supervisor([ChildCommand("child", [sys.executable, "-I", "-S", "-c", "import time; time.sleep(60)"])])
with supervisor.stopped_by_signals(), supervisor:
    print(supervisor.pids()["child"], flush=True)
    supervisor.wait()
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_children_die_with_the_supervisor(number: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        parent.send_signal(number)
        child.wait(10)
        assert parent.wait(10) == (-signal.SIGKILL if number == signal.SIGKILL else 0)
