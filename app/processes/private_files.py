"""Files and folders that are their owner's alone: state, history and Kafka's data hold people's data and secrets."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

OTHERS = 0o077


def keep_private() -> None:
    """Give no file that this process makes from now on to others, whatever the umask was."""
    os.umask(OTHERS)


def private_folder(path: Path) -> None:
    """Make a folder that its owner alone may enter; one of ours that others may enter is closed to them."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    about = path.stat()
    if about.st_mode & OTHERS and about.st_uid == os.geteuid():
        with contextlib.suppress(PermissionError):  # a volume whose modes cannot be changed
            path.chmod(about.st_mode & 0o700)
