"""Files and folders for their owner only: state, history and Kafka's data contain personal data and secrets."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

OTHERS = 0o077


def keep_private() -> None:
    """Deny others access to every file that this process creates from now on, whatever the umask was."""
    os.umask(OTHERS)


def private_folder(path: Path) -> None:
    """Make a folder for its owner only. Deny others access to an existing one that this user owns."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    about = path.stat()
    if about.st_mode & OTHERS and about.st_uid == os.geteuid():
        with contextlib.suppress(PermissionError):  # a volume whose modes cannot be changed
            path.chmod(about.st_mode & 0o700)
