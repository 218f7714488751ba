"""The end of a process: hooks close the clients that still have events.

A process that was forked as a worker ends by `os._exit`, after hooks of its own. `atexit` does not run in such a
process (before Python 3.13, and elsewhere than in multiprocessing).
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
from collections.abc import Callable

Close = Callable[[], object]

LAST = -1000
"""Priority among multiprocessing's finalizers, of which the lowest runs last: others may still log events."""

_open: dict[Close, None] = {}  # in the order in which they were added
_hooked = 0
_over = False


def watch(close: Close) -> bool:
    """Call `close` when this process ends.

    Returns False where the process is ending, and `close` will not be called.
    """
    global _hooked
    _open[close] = None
    if _hooked != os.getpid():
        _hooked = os.getpid()
        _hook()
    return not _over


def forget(close: Close) -> None:
    """Undo `watch`."""
    _open.pop(close, None)


def _hook() -> None:
    """Register with the hooks of multiprocessing, billiard and Celery, where they are loaded in a worker process."""
    process = sys.modules.get("multiprocessing.process")
    util = sys.modules.get("multiprocessing.util")
    if util is not None and process is not None and process.parent_process() is not None:
        util.Finalize(None, _at_end_of_worker, exitpriority=LAST)
    process, util = sys.modules.get("billiard.process"), sys.modules.get("billiard.util")
    if util is not None and process is not None and process.current_process()._parent_pid is not None:
        util.Finalize(None, _at_end_of_worker, exitpriority=LAST)
        signals = sys.modules.get("celery.signals")
        if signals is not None:  # the workers of Celery's pools run no finalizers
            signals.worker_process_shutdown.connect(_at_end_of_pool_worker, weak=False, dispatch_uid="driftline")


def _at_end_of_worker() -> None:
    """Close the clients once the worker's own threads have ended, since the worker waits for them later."""
    if not _working():
        _close_all()
        return
    try:
        threading.Thread(target=_close_last, name="driftline-closing").start()
    except Exception:  # noqa: BLE001 - RuntimeError, MemoryError: what those threads log is lost, and counted
        _close_all()


def _close_last() -> None:
    while others := _working():
        others[0].join()
    _close_all()


def _working() -> list[threading.Thread]:
    """Return the threads that a worker waits for."""
    own = (threading.main_thread(), threading.current_thread())
    return [one for one in threading.enumerate() if not one.daemon and one not in own]


def _at_end_of_pool_worker(**_: object) -> None:
    _close_all()


def _at_exit() -> None:
    global _over
    _over = True
    _close_all()


def _close_all() -> None:
    for close in list(_open):
        close()


def _after_fork() -> None:
    """Start again in the child, whose clients have no events."""
    global _over
    _over = False
    _open.clear()


atexit.register(_at_exit)  # at import, so that it runs after hooks that are registered later and may log events
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
