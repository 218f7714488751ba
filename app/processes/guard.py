"""Guard of one command that must not outlive its parent; a separate script that `guarded.py` starts.

python -I -S guard.py LIFE REPORT GRACE COMMAND...

LIFE is the read end of a pipe that the parent keeps open. At its end of file (the parent has closed it, or died in any
way) the command gets SIGTERM and, GRACE seconds later, SIGKILL. REPORT is the write end of a pipe for the command's
pid, or the reason why the command did not start. SIGTERM and SIGINT are passed on. The exit status is the command's,
128 + n where signal n ended it. If the guard itself is killed, Linux kills the command.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
from types import FrameType

PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> int:
    life, report, grace = int(arguments[0]), int(arguments[1]), float(arguments[2])
    on_linux = sys.platform == "linux"
    libc = ctypes.CDLL(None) if on_linux else None

    def die_with_guard() -> None:
        if libc is not None:
            libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

    try:
        child = subprocess.Popen(arguments[3:], preexec_fn=die_with_guard if on_linux else None)  # noqa: PLW1509 - one thread as yet
    except OSError as error:
        os.write(report, f"{error.strerror}: {arguments[3]}\n".encode())
        return 127

    def pass_on(number: int, _frame: FrameType | None) -> None:
        child.send_signal(number)

    signal.signal(signal.SIGTERM, pass_on)
    signal.signal(signal.SIGINT, pass_on)
    os.write(report, f"{child.pid}\n".encode())
    os.close(report)
    threading.Thread(target=_end_with_parent, args=(life, child, grace), daemon=True).start()
    status = child.wait()
    return status if status >= 0 else 128 - status


def _end_with_parent(life: int, child: subprocess.Popen[bytes], grace: float) -> None:
    os.read(life, 1)
    child.terminate()
    try:
        child.wait(grace)
    except subprocess.TimeoutExpired:
        child.kill()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
