"""The hooks: a command, a webhook, or both, each given every signal as JSON."""

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
"""Variables of the worker's environment that a command gets, beside those of `retraining_environment`."""
STOP_SECONDS = 5.0
"""How long a command that is ended may take to tidy up."""


class HookFailed(Exception):
    """Why a hook did not do its work; without what was given to it."""


class Hook(Protocol):
    """Somebody who is told of a signal."""

    async def run(self, event: bytes) -> None:
        """Tell of one event. Raises HookFailed."""


@dataclass(frozen=True, slots=True)
class CommandHook:
    """A program, started as it stands, without a shell, with the event on its standard input.

    It gets the variables in KEPT and `environment`, by name, and none of the worker's secrets.
    """

    words: Sequence[str]
    seconds: float
    environment: Sequence[str] = ()

    async def run(self, event: bytes) -> None:
        """Returns when it has ended well. Raises HookFailed; cancelled, it ends the program."""
        given = {name: os.environ[name] for name in (*KEPT, *self.environment) if name in os.environ}
        await _start(self.words, event, self.seconds, given)


@dataclass(frozen=True, slots=True)
class WebhookHook:
    """An address that the event is posted to."""

    url: str

    async def run(self, event: bytes) -> None:
        """Returns when it was taken. Raises HookFailed."""
        await _post(self.url, event)


def hooks_of(settings: Settings) -> tuple[Hook, ...]:
    """The hooks that are set."""
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
    """End it with all that it has started: first asked, then made to."""
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
        raise HookFailed(f"retraining_webhook: {type(error).__name__}") from None  # its words have the address
    if not answer.is_success:
        raise HookFailed(f"retraining_webhook: status {answer.status_code}")
