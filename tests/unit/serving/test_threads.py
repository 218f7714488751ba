"""A model's threads: so many at once, so many waiting; one that hangs is seen and keeps nobody waiting for it."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import Future, wait
from contextlib import suppress

import pytest

from app.serving.threads import Busy, Threads

SECONDS = 30.0


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def hung(threads: Threads, release: threading.Event) -> Future[bool]:
    """A call that is under way until it is let go."""
    entered = threading.Event()

    def call() -> bool:
        entered.set()
        return release.wait(20)

    future = threads.submit(call, SECONDS)
    assert entered.wait(20)
    return future


def test_no_more_run_at_once_than_threads_and_no_more_wait_than_the_queue_has() -> None:
    threads, release, running = Threads("few", 3, 5, Clock()), threading.Event(), []

    def call(i: int) -> int:
        running.append(threading.current_thread().name)
        assert release.wait(20)
        return i

    begun = [hung(threads, release) for _ in range(3)]
    futures = [threads.submit(lambda i=i: call(i), SECONDS) for i in range(5)]  # type: ignore[misc]
    assert threads.waiting == 5
    with pytest.raises(Busy, match=r"5 requests wait for the model already \(predict_queue\)"):
        threads.submit(int, SECONDS)
    release.set()
    assert [future.result(20) for future in futures] == list(range(5))
    assert all(future.result(20) for future in begun)
    assert len(set(running)) <= 3
    unqueued = Threads("none waits", 1, 0, Clock())
    assert [unqueued.submit(lambda: 7, SECONDS).result(20) for _ in range(100)] == [7] * 100


def test_where_all_hang_nobody_waits_and_what_waited_fails_at_once() -> None:
    clock, release = Clock(), threading.Event()
    threads = Threads("hung", 2, 10, clock)
    begun = [hung(threads, release) for _ in range(2)]
    waiting = threads.submit(int, SECONDS)
    clock.now = SECONDS
    assert threads.overdue(SECONDS) == 0
    assert threads.all_overdue(SECONDS) == ""
    clock.now += 1
    assert threads.overdue(SECONDS) == 2
    with pytest.raises(Busy, match=r"all 2 threads of the model are busy .* for more than 30 s"):
        threads.submit(int, SECONDS)
    assert not waiting.done()
    assert "all 2 threads" in threads.all_overdue(SECONDS)
    with pytest.raises(Busy):
        waiting.result(0)
    release.set()
    wait(begun, 20)
    assert threads.overdue(SECONDS) == 0
    assert threads.submit(lambda: 5, SECONDS).result(20) == 5


def test_what_nobody_waits_for_any_more_is_not_begun_or_counts_as_overdue() -> None:
    release, called = threading.Event(), []
    threads = Threads("abandoned", 1, 10, Clock())
    begun = hung(threads, release)
    waiting, other = threads.submit(lambda: called.append(1), SECONDS), threads.submit(lambda: 2, SECONDS)
    threads.abandon(waiting)
    assert threads.waiting == 1
    assert threads.overdue(SECONDS) == 0
    threads.abandon(begun)
    assert threads.overdue(SECONDS) == 1
    release.set()
    assert other.result(20) == 2
    assert called == []
    assert threads.overdue(SECONDS) == 0


def test_an_error_is_the_callers_and_the_thread_goes_on() -> None:
    threads = Threads("errors", 1, 10)
    with pytest.raises(ZeroDivisionError):
        threads.submit(lambda: 1 // 0, SECONDS).result(20)
    assert threads.submit(lambda: 3, SECONDS).result(20) == 3


def test_closed_threads_finish_what_waits_and_end() -> None:
    release = threading.Event()
    threads = Threads("closed", 2, 10)
    futures = [hung(threads, release), hung(threads, release), threads.submit(lambda: True, SECONDS)]
    mine = [one for one in threading.enumerate() if one.name.startswith("closed-")]
    assert len(mine) == 2
    threads.close()
    release.set()
    assert all(future.result(20) for future in futures)
    for one in mine:
        one.join(20)
        assert not one.is_alive()


def test_a_thread_that_hangs_does_not_keep_the_process_from_ending() -> None:
    program = (
        "import threading; from app.serving.threads import Threads\n"
        "begun = threading.Event()\n"
        "Threads('hung', 1, 1).submit(lambda: (begun.set(), threading.Event().wait()), 1.0)\n"
        "begun.wait()\n"
    )
    with suppress(subprocess.TimeoutExpired):
        assert subprocess.run([sys.executable, "-c", program], timeout=60, check=False).returncode == 0
        return
    pytest.fail("it waits for the thread")
