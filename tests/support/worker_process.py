"""Workers as processes of the tests: settings under which they react soon, and what their logs say."""

from __future__ import annotations

import re
from pathlib import Path

from app.settings.settings import Settings


def quick(settings: Settings) -> Settings:
    """Settings under which a dead worker is missed soon."""
    return settings.model_copy(update={"session_seconds": 3.0, "max_batch_records": 500})


def log_of(settings: Settings, worker: str = "*") -> str:
    """The ends of the workers' logs."""
    logs = sorted(settings.state_dir.glob(f"{worker}.log"))
    return "\n".join(f"--- {log.name}\n{Path(log).read_text()[-3000:]}" for log in logs)


STAYS = re.compile(r"generation (\d+): partitions \[(.*?)\] stay; \[(.*?)\] come")
RECOVERED = re.compile(r"partition (\d+): \d+ pending predictions recovered")


def stayed(log: str) -> list[set[int]]:
    """What stayed with a worker each time when partitions changed hands, by its log.

    Raises AssertionError where it was recovered all the same.
    """
    found: list[set[int]] = []
    for line in log.splitlines():
        moved, recovered = STAYS.search(line), RECOVERED.search(line)
        if moved is not None:
            found.append({int(partition) for partition in moved[2].split(",") if partition})
        elif recovered is not None and found:
            assert int(recovered[1]) not in found[-1], log
    return found
