"""Events that are logged in processes which something else forks, spawns and ends: they arrive, or are counted."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from driftline import Client
from tests.support.client_program import Arrivals, arrivals, program, run

pytestmark = pytest.mark.usefixtures("direct")


POOLS = """
if __name__ == "__main__":
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor
    method = multiprocessing.get_context(sys.argv[1])
    log("parent")
    one = method.Process(target=log, args=("process",))
    two = method.Process(target=log_after, args=("process-2",))
    one.start(), two.start()
    with ProcessPoolExecutor(1, mp_context=method) as executor:
        assert list(executor.map(log, ["executor-0", "executor-1", "executor-2"]))
    pool = method.Pool(1)
    assert pool.map(log, ["pool-0", "pool-1"])
    pool.close(), pool.join(), one.join(), two.join()
    assert (one.exitcode, two.exitcode) == (0, 0)
"""
LOGGED = {
    "parent", "process", "process-2", "process-2-thread", "executor-0", "executor-1", "executor-2", "pool-0", "pool-1",
}  # fmt: skip


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_what_workers_of_every_start_method_log_arrives_once(method: str, tmp_path: Path) -> None:
    with arrivals() as server:
        done = run(program(tmp_path, POOLS), server, method)
    assert done.returncode == 0, done.stderr
    assert server.ids == dict.fromkeys(LOGGED, 1), done.stderr


KILLED = """
def hold(logged, *names):
    for name in names:
        log(name)
    logged.set()
    time.sleep(60)

if __name__ == "__main__":
    import multiprocessing
    log("parent")
    method = multiprocessing.get_context(sys.argv[1])
    logged = method.Event()
    one = method.Process(target=hold, args=(logged, "held-0", "held-1", "held-2"))
    one.start(), logged.wait(), one.terminate(), one.join()  # as a pool ends its workers that is left by `with`
    pid = os.fork()
    if not pid:
        log("forked-0"), log("forked-1")
        os._exit(0)
    os.waitpid(pid, 0)
    print(client.close().held_by_ended)
"""


@pytest.mark.parametrize("method", ["fork", pytest.param("spawn", marks=pytest.mark.long)])
def test_what_a_killed_process_held_is_counted_by_the_next_that_looks(method: str, tmp_path: Path) -> None:
    with arrivals() as server:
        done = run(program(tmp_path, KILLED), server, method)
    assert server.ids == {"parent": 1}
    assert int(done.stdout) == 5, done.stderr
    said = re.findall(r"ended without closing its client: ([0-9]+) of its events", done.stderr)
    assert sorted(said) == ["2", "3"]


@contextmanager
def serving(path: Path, server: Arrivals, *arguments: str, **extra: str) -> Iterator[tuple[str, list[str]]]:
    """A server of workers in a process of its own: its address, and the lines that it has written."""
    process = subprocess.Popen(
        [sys.executable, "-m", *arguments], cwd=path.parent,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "API": server.url, "PYTHONPATH": str(Path.cwd()), **extra},
    )  # fmt: skip
    lines: list[str] = []
    listens = threading.Event()
    found: list[str] = []

    def read() -> None:
        assert process.stderr is not None
        for line in process.stderr:
            lines.append(line)
            address = re.search(r"http://127\.0\.0\.1:[0-9]+", line)
            if address is not None and not found:
                found.append(address[0])
            if found:
                listens.set()
        listens.set()

    reader = threading.Thread(target=read)
    reader.start()
    try:
        assert listens.wait(60)
        assert found, lines
        yield found[0], lines
    finally:
        process.terminate()
        process.wait(60)
        reader.join()
        assert process.stderr is not None
        process.stderr.close()


def ask(url: str, name: str) -> str:
    """Have one worker log an event; its process."""
    with httpx.Client(timeout=60, transport=httpx.HTTPTransport(retries=20)) as http:  # the workers come a moment later
        return http.get(f"{url}/{name}").text


WSGI = """
log("master")

def app(environ, start_response):
    log(environ["PATH_INFO"][1:])
    start_response("200 OK", [])
    return [str(os.getpid()).encode()]
"""


@pytest.mark.parametrize("preload", [True, pytest.param(False, marks=pytest.mark.long)], ids=["preload", "load"])
def test_workers_of_gunicorn_send_what_they_hold_and_one_that_is_killed_is_counted(
    preload: bool, tmp_path: Path
) -> None:
    options = ["gunicorn", "program:app", "-w", "1", "-b", "127.0.0.1:0", *(["--preload"] if preload else [])]
    with arrivals() as server:
        with serving(program(tmp_path, WSGI), server, *options) as (url, lines):
            (killed,) = {int(ask(url, f"event-{i}")) for i in range(3)}
            os.kill(killed, signal.SIGKILL)
            assert int(ask(url, "after")) != killed
        assert server.ids == {"after": 1, "master": 1}
        held = 3 if preload else 4  # without it each worker logs "master"
        said = re.findall(rf"process {killed} ended without closing its client: ([0-9]+) of", "".join(lines))
        assert said == [str(held)]


ASGI = """
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        if "CLOSE" in os.environ:
            client.close()
        await send({"type": "lifespan.shutdown.complete"})
        return
    log(scope["path"][1:])
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})
"""


@pytest.mark.parametrize(
    "closes", [pytest.param(True, marks=pytest.mark.long), False], ids=["lifespan closes", "killed"]
)
def test_workers_of_uvicorn_send_what_they_hold_or_the_next_counts_it(closes: bool, tmp_path: Path) -> None:
    """Uvicorn raises SIGTERM again when it is done, which kills its process."""
    options = ["uvicorn", "program:app", "--workers", "2", "--port", "0"]
    with arrivals() as server:
        with serving(program(tmp_path, ASGI), server, *options, **({"CLOSE": "1"} if closes else {})) as (url, _):
            for i in range(6):
                ask(url, f"event-{i}")
        with Client(server.url) as client:
            pass
        assert server.ids == ({f"event-{i}": 1 for i in range(6)} if closes else {})
        assert client.stats.held_by_ended == (0 if closes else 6)


CELERY = """
import types

class Finalize:
    registry = []

    def __init__(self, obj, callback, exitpriority):
        self.registry.append(callback)

class Signal:
    receivers = {}

    def connect(self, receiver, weak, dispatch_uid):
        assert not weak
        self.receivers[dispatch_uid] = receiver

    def send(self, **named):
        for receiver in self.receivers.values():
            receiver(signal=self, **named)

current = types.SimpleNamespace(_parent_pid=None)
shutdown = Signal()
sys.modules.update({
    "billiard.process": types.SimpleNamespace(current_process=lambda: current),
    "billiard.util": types.SimpleNamespace(Finalize=Finalize),
    "celery.signals": types.SimpleNamespace(worker_process_shutdown=shutdown),
})

def fork(name, end):
    pid = os.fork()
    if not pid:
        current._parent_pid = os.getppid()
        Finalize.registry.clear()
        log(name)
        end()
        os._exit(0)
    os.waitpid(pid, 0)

log("parent")
fork("pool", lambda: shutdown.send(sender="celery@host", pid=os.getpid(), exitcode=0))
fork("process", lambda: [callback() for callback in reversed(Finalize.registry)])
"""


def test_what_workers_of_celery_log_arrives(tmp_path: Path) -> None:
    """Its processes are billiard's: they run its finalizers, those of its pools Celery's signal, and then os._exit."""
    with arrivals() as server:
        done = run(program(tmp_path, CELERY), server)
    assert (done.returncode, done.stderr) == (0, "")
    assert server.ids == {"parent": 1, "pool": 1, "process": 1}
