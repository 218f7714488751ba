"""`log` while a process ends, or can have no more threads: it never raises, and what it took arrives or is counted."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import Any, NoReturn
from unittest import mock

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftline import Client
from driftline.http import Http
from tests.support.client_program import arrivals, program, run

pytestmark = pytest.mark.usefixtures("direct")

LIMITED = """
import resource
"localhost".encode("idna")  # read now: another user may not read this user's Python
_, most = resource.getrlimit(resource.RLIMIT_NPROC)
resource.setrlimit(resource.RLIMIT_NPROC, (1, most))
if os.getuid() == 0:
    os.setresuid(65534, 65534, 0)  # root has no limit
try:
    threading.Thread(target=print).start()
except RuntimeError as error:
    print(error)
log("a"), log("b"), log("c")
assert not client.flush()  # returns at once
assert (client.stats.logged, client.stats.buffered) == (3, 3)
final = client.close()
assert final.sent == final.logged and not final.lost, final
client = Client(os.environ["API"], model="m", model_version="1", flush_seconds=60)
log("d")
resource.setrlimit(resource.RLIMIT_NPROC, (most, most))
if os.getresuid()[2] == 0:
    os.setresuid(0, 0, 0)
time.sleep(1.1)
log("e")
assert client.flush(20)
"""


def test_a_process_that_can_have_no_more_threads_sends_at_the_end_or_when_there_are_some(tmp_path: Path) -> None:
    with arrivals() as server:
        done = run(program(tmp_path, LIMITED), server)
    assert (done.returncode, done.stdout) == (0, "can't start new thread\n"), done
    assert server.ids == dict.fromkeys("abcde", 1)
    assert done.stderr.count("no thread can be started (can't start new thread): events are kept") == 2
    assert len(done.stderr.splitlines()) == 2  # one for each client


AT_EXIT = """
def handler():
    if sys.version_info < (3, 12):  # Python's own behaviour from then on
        def refuse(self):
            raise RuntimeError("can't create new thread at interpreter shutdown")
        threading.Thread.start = refuse
    log("first"), log("second")

atexit.register(handler)
"""


def test_what_is_first_logged_when_the_interpreter_exits_is_sent_by_the_one_thread_that_is_left(tmp_path: Path) -> None:
    with arrivals() as server:
        done = run(program(tmp_path, AT_EXIT), server)
    assert (done.returncode, server.ids) == (0, {"first": 1, "second": 1})
    (said,) = done.stderr.splitlines()
    assert "no thread can be started (can't create new thread at interpreter shutdown)" in said


BEFORE = """
def handler():
    log("late"), log("later")
    others = [Client(os.environ["API"], model="m", model_version="1", flush_seconds=60) for _ in range(2)]
    for i, other in enumerate(others):
        other.log({}, 1, prediction_id=f"other-{i}")
    others[1].close()
    print(client.stats.lost_by_kind, [(other.stats.sent, other.stats.buffered) for other in others], flush=True)

atexit.register(handler)
"""


def test_what_a_handler_logs_that_runs_after_the_clients_own_is_counted(tmp_path: Path) -> None:
    with arrivals() as server:
        done = run(program(tmp_path, "log('early')", before=BEFORE), server)
        assert Client(server.url).close().held_by_ended == 1  # the one that was not closed
    assert (done.returncode, server.ids) == (0, {"early": 1, "other-1": 1})
    assert done.stdout == "{'closed': 2} [(0, 1), (1, 0)]\n"
    said = done.stderr.splitlines()
    assert sum("the client is closed" in line for line in said) == 1
    assert sum("the interpreter is exiting" in line for line in said) == 2  # one for each client


SHUTDOWN = """
def on():
    for i in range(10**9):
        log(f"daemon-{i}")
        time.sleep(0.0005)

def last():
    for i in range(3):
        time.sleep(0.02)
        log(f"thread-{i}")

threading.Thread(target=on, daemon=True).start()
threading.Thread(target=last).start()
"""
COUNTED = """
def handler():  # runs after the client's own
    time.sleep(0.05)
    stats = client.stats
    print(stats.sent)
    os._exit(0 if stats.sent + stats.lost + stats.buffered >= stats.logged > stats.sent else 1)

atexit.register(handler)
"""


def test_what_threads_log_while_the_interpreter_exits_arrives_or_is_counted(tmp_path: Path) -> None:
    with arrivals() as server:
        done = run(program(tmp_path, SHUTDOWN, before=COUNTED), server)
        assert done.returncode == 0, done
        assert server.ids.total() == len(server.ids) == int(done.stdout or -1)
    assert {f"thread-{i}" for i in range(3)} <= set(server.ids)
    assert "the client is closed (closed" in done.stderr


class _Raising(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        raise OSError("no space left on device")


class _Odd:
    """Fails wherever it is looked at."""

    def __getattr__(self, name: str) -> NoReturn:
        raise RuntimeError(name)

    def __str__(self) -> str:
        raise RuntimeError("str")

    __repr__ = __len__ = __iter__ = __float__ = __str__

    def __eq__(self, other: object) -> NoReturn:
        raise RuntimeError("eq")

    __hash__ = None  # type: ignore[assignment]


NO_CONNECTION = httpx.Client()
"""Made once: nothing is sent by clients that are closed at once."""
odd: Any = st.one_of(
    st.sampled_from([_Odd(), _Odd, object(), [], {}, "", b"\xff", float("nan"), 10**5000, "\ud800", lambda: 1, ...]),
    st.dictionaries(st.sampled_from(["a", 1, "\ud800", None]), st.sampled_from([_Odd(), 1, [2], 10**5000, "\ud800"])),
)


@given(odd, odd, odd, odd, odd, odd, st.sampled_from([0, 1, 100]))
def test_log_never_raises(
    features: Any, prediction: Any, prediction_id: Any, probability: Any, timestamp: Any, metadata: Any, room: int
) -> None:
    with mock.patch.object(Http, "connect", return_value=NO_CONNECTION):
        client = Client("http://127.0.0.1:1", model="m", model_version="1", buffer_events=room, flush_seconds=60)
    handler = _Raising()
    logging.getLogger("driftline").addHandler(handler)
    try:
        for _ in range(2):  # the second time it is closed
            client.log(
                features, prediction, prediction_id=prediction_id, probability=probability, timestamp=timestamp,
                metadata=metadata,
            )  # fmt: skip
            client.feedback(prediction_id, prediction, timestamp=timestamp, metadata=metadata)
            client.close(0)
    finally:
        logging.getLogger("driftline").removeHandler(handler)
    assert client.stats.logged == client.stats.lost == 4


def test_an_event_that_comes_into_the_inbox_while_the_client_is_closed_is_counted(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    client = Client("http://127.0.0.1:1", model="m", model_version="1", flush_seconds=60)
    client.log({}, 1)

    closing = threading.Event()

    class Inbox(type(client._buffer.inbox)):  # type: ignore[misc]
        def append(self, item: object) -> None:
            if not closing.is_set():
                closing.set()
                client.close(0)
            super().append(item)

    client._buffer.inbox = Inbox(client._buffer.inbox)
    client.log({}, 1)
    assert (client.stats.logged, client.stats.lost, client.stats.buffered) == (2, 2, 0)
