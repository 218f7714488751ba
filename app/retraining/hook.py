"""Hooks (a command, a webhook, or both), each called with every signal as JSON."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import httpx

from app.settings.settings import Settings

WEBHOOK_SECONDS = 30.0
KEPT = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "VIRTUAL_ENV")
"""Variables of the worker's environment that a command gets, in addition to those of `retraining_environment`."""
STOP_SECONDS = 5.0
"""Time that a terminated command has for its cleanup, in seconds."""


class HookFailed(Exception):
    """Raised when a hook did not succeed. The message does not contain the event."""


class Hook(Protocol):
    """Destination of signals."""

    async def run(self, event: bytes) -> None:
        """Deliver one event. Raises HookFailed."""


@dataclass(frozen=True, slots=True)
class CommandHook:
    """A program that is started without a shell, with the event on its standard input.

    The program gets the environment variables in KEPT and `environment`, and none of the worker's secrets.
    """

    words: Sequence[str]
    seconds: float
    environment: Sequence[str] = ()

    async def run(self, event: bytes) -> None:
        """Run the program; return when it has ended successfully. Raises HookFailed. Cancelling ends the program."""
        given = {name: os.environ[name] for name in (*KEPT, *self.environment) if name in os.environ}
        await _start(self.words, event, self.seconds, given)


@dataclass(frozen=True, slots=True)
class WebhookHook:
    """An address to which the event is posted."""

    url: str

    async def run(self, event: bytes) -> None:
        """Post the event; return when it was accepted. Raises HookFailed."""
        await _post(self.url, event)


def hooks_of(settings: Settings) -> tuple[Hook, ...]:
    """Return the hooks that the settings configure."""
    command, url = settings.retraining_command, settings.retraining_webhook
    names = settings.retraining_environment or ()
    hooks: list[Hook] = [] if command is None else [CommandHook(command, settings.retraining_timeout_seconds, names)]
    return (*hooks, *(() if url is None else (WebhookHook(url.get_secret_value()),)))


async def _start(command: Sequence[str], event: bytes, seconds: float, environment: Mapping[str, str]) -> None:
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            start_new_session=True,
            env=environment,
        )
    except OSError as error:
        raise HookFailed(f"retraining_command {command[0]}: {error.strerror}") from None
    try:
        async with asyncio.timeout(seconds):
            await process.communicate(event)
    except TimeoutError:
        raise HookFailed(f"retraining_command {command[0]}: not done after {seconds:g} s, so it was ended") from None
    finally:
        await _end(process)
    if process.returncode:
        raise HookFailed(f"retraining_command {command[0]}: exit status {process.returncode}")


async def _end(process: asyncio.subprocess.Process) -> None:
    """End the program with all its child processes: first SIGTERM, then SIGKILL."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), STOP_SECONDS)


async def _post(url: str, event: bytes) -> None:
    headers = {"content-type": "application/json"}
    try:
        async with httpx.AsyncClient(timeout=WEBHOOK_SECONDS) as client:
            answer = await client.post(url, content=event, headers=headers)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise HookFailed(f"retraining_webhook: {type(error).__name__}") from None  # its text has the URL
    if not answer.is_success:
        raise HookFailed(f"retraining_webhook: status {answer.status_code}")
