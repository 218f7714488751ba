"""A genuine Alertmanager on this machine, with one receiver."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import time
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.support.programs import program

PROGRAM = "prometheus-alertmanager"
READY_SECONDS = 20.0

CONFIG = """
route: {{receiver: company, group_by: [alertname, model], group_wait: 20ms, group_interval: 200ms, repeat_interval: 1h}}
receivers: [{{name: company, webhook_configs: [{{url: "{url}", send_resolved: true}}]}}]
"""


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


@asynccontextmanager
async def alertmanager(folder: Path, receiver_url: str, *, port: int | None = None) -> AsyncIterator[str]:
    """The address of an Alertmanager that has nothing yet, and sends to the receiver; it ends with the context."""
    program(PROGRAM, PROGRAM)
    port = port or free_port()
    process = await asyncio.to_thread(_start, folder, receiver_url, port)
    try:
        await asyncio.to_thread(_ready, f"http://127.0.0.1:{port}", folder / "log")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        await asyncio.to_thread(process.wait)


def _start(folder: Path, receiver_url: str, port: int) -> subprocess.Popen[bytes]:
    folder.mkdir(parents=True)
    (folder / "alertmanager.yml").write_text(CONFIG.format(url=receiver_url))
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(
            [PROGRAM, f"--config.file={folder}/alertmanager.yml", f"--storage.path={folder}",
             f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address="], stdout=log, stderr=log,
        )  # fmt: skip


def _ready(url: str, log: Path) -> None:
    ends = time.monotonic() + READY_SECONDS
    while not _answers(url):
        assert time.monotonic() < ends, f"Alertmanager is not ready: {log.read_text()}"
        time.sleep(0.02)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/-/ready", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


async def alerts_of(url: str) -> list[dict[str, Any]]:
    """What an Alertmanager has that is not over."""
    found: list[dict[str, Any]] = await asyncio.to_thread(_get, f"{url}/api/v2/alerts")
    return sorted(found, key=lambda one: sorted(one["labels"].items()))


def _get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=5) as answer:
        return json.load(answer)
