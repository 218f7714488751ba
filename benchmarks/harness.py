"""What every benchmark's `main` does: options, a Kafka of its own, one line for what went wrong, clean on Ctrl-C."""

from __future__ import annotations

import argparse
import asyncio
import os
import socket
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager

from aiokafka.errors import KafkaError

from app.kafka.errors import BrokerError, BrokerUnavailable, TopicError
from app.processes.guarded import GuardedProcess
from app.settings.settings import Settings, SettingsError
from app.settings.sources import ENV_PREFIX
from benchmarks.kafka import benchmark_settings
from benchmarks.reading import ReaderFailed

INTERRUPTED = 130
EXPECTED = (BrokerError, BrokerUnavailable, KafkaError, SettingsError, ReaderFailed, TopicError)


def parser_of(module: str, doc: str | None) -> argparse.ArgumentParser:
    """A parser whose help is the module's docstring."""
    return argparse.ArgumentParser(
        prog=f"python -m benchmarks.{module}",
        description=doc,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Kafka is the one that DRIFTLINE_BOOTSTRAP_SERVERS names or that runs; else one is started and ended.",
    )


def run(
    parser: argparse.ArgumentParser,
    arguments: Sequence[str] | None,
    measure: Callable[[Settings, argparse.Namespace], Awaitable[None]],
    **overrides: object,
) -> int:
    """Measure with settings of the run's own; answers the exit status."""
    options = parser.parse_args(arguments)
    try:
        with benchmark_settings(**overrides) as settings:
            asyncio.run(_awaited(measure(settings, options)))
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except EXPECTED as error:
        print(error, file=sys.stderr)
        return 1
    return 0


async def _awaited(measured: Awaitable[None]) -> None:
    await measured


@contextmanager
def child(settings: Settings, command: str, log: str) -> Iterator[GuardedProcess]:
    """`driftline worker` or `driftline api` as a process; what it says goes to a file of that name in `state_dir`."""
    values = settings.model_dump(mode="json", exclude_none=True)
    env = {**os.environ, **{f"{ENV_PREFIX}{name.upper()}": str(value) for name, value in values.items()}}
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    with (settings.state_dir / log).open("ab") as said:
        process = GuardedProcess([sys.executable, "-m", "app.cli", command], env=env, stdout=said, stderr=said)
        try:
            yield process
        finally:
            process.stop()


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port
