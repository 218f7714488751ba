"""The command line as somebody types it, within this process: a start of its own costs a second each time."""

from __future__ import annotations

import asyncio
import contextlib
import io
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from typer.testing import CliRunner, Result

from app import cli
from app.cli import app
from app.settings.settings import Settings, environment


def typed(*words: str) -> tuple[object, str, str]:
    """The exit status of a command typed, its output and its errors. Raises what would be a traceback."""
    out, err = io.StringIO(), io.StringIO()
    before, sys.argv = sys.argv, ["driftline", *words]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            cli.main()
    except SystemExit as ended:
        return ended.code, out.getvalue(), err.getvalue()
    finally:
        sys.argv = before
    return 0, out.getvalue(), err.getvalue()


def command_of(*arguments: str) -> list[str]:
    return [sys.executable, "-P", "-m", "driftline_server", *arguments]


@contextmanager
def heeds_ctrl_c() -> Iterator[None]:
    """For a process that is started within: it inherits that Ctrl-C is ignored, from a test run in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def driftline(settings: Settings, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command_of(*arguments), capture_output=True, text=True, check=False, timeout=60, env=environment(settings)
    )


@contextmanager
def running(settings: Settings, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A command that goes on until it is stopped, at the end of the context at the latest."""
    pipe = subprocess.PIPE
    env = environment(settings)
    with heeds_ctrl_c():
        process = subprocess.Popen(command_of(*arguments), stdout=pipe, stderr=pipe, text=True, env=env)
    with process:
        try:
            yield process
        finally:
            process.kill()


async def typed_with(settings: Settings, *arguments: str) -> Result:
    """What the command line answers."""
    flags = ["--bootstrap-servers", str(settings.bootstrap_servers), "--prefix", settings.prefix]
    environment = {"DRIFTLINE_ALERTS_DIR": str(settings.alerts_dir), "DRIFTLINE_PARTITIONS": str(settings.partitions)}
    return await asyncio.to_thread(lambda: CliRunner().invoke(app, [*arguments, *flags], env=environment))
