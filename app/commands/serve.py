"""`driftline up`, `worker`, `recorder` and `api`: commands that run until they are stopped."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from app.commands.options import Bootstrap, HistoryUrl, Prefix, SetupCommandError, StateDir, connected, settings_of

Host = Annotated[str | None, typer.Option("--host", help="Address the API listens on. [default: 127.0.0.1]")]
Port = Annotated[int | None, typer.Option("--port", help="Port the API listens on. [default: 8700]")]
ModelPath = Annotated[
    list[Path] | None,
    typer.Option("--model-path", help="Folder of a model that POST /predict serves; more of them: /predict/{model}."),
]
Partitions = Annotated[int | None, typer.Option(help="Partitions of new topics. [default: 4]")]
Accept = Annotated[
    bool | None,
    typer.Option("--accept-dead-letters", help="With dead_letter_stop: continue past what is in the log by now."),
]
MetricsPort = Annotated[
    int | None,
    typer.Option("--metrics-port", help="Port of /metrics, /ready and /health; 0: a free one. [default: none]"),
]
LogFormat = Annotated[str | None, typer.Option(help="text or json. [default: text]")]
LogLevel = Annotated[str | None, typer.Option(help="DEBUG, INFO, WARNING or ERROR. [default: INFO]")]


def up(
    bootstrap_servers: Bootstrap = None,
    prefix: Prefix = None,
    host: Host = None,
    port: Port = None,
    model_path: ModelPath = None,
    partitions: Partitions = None,
    state_dir: StateDir = None,
    accept_dead_letters: Accept = None,
    log_level: LogLevel = None,
    log_format: LogFormat = None,
) -> None:
    """Run Kafka, a worker and the API until Ctrl-C.

    Kafka is started only if no Kafka is named and none runs. If the started Kafka ends, it is started again on the
    same port.

    \b
    Examples:
      driftline up
      driftline up --port 9000 --model-path models/churn
      driftline up --bootstrap-servers kafka:9092
    """
    from app.access import KeyFileError, OpenApi, check_open
    from app.local.stack import Stack

    settings = settings_of(
        bootstrap_servers=bootstrap_servers, prefix=prefix, api_host=host, api_port=port, model_path=model_path or None,
        partitions=partitions, state_dir=state_dir, accept_dead_letters=accept_dead_letters, log_level=log_level,
        log_format=log_format,
    )  # fmt: skip
    with _set_up(OpenApi, KeyFileError):
        open_to_all = check_open(settings)
    with Stack(settings) as stack:
        print(f"Kafka      {stack.settings.bootstrap_servers}")
        print(f"dashboard  {stack.address}{stack.settings.root}/dashboard")
        if open_to_all is not None:
            print(f"keys       none: {open_to_all}")
        print("Ctrl-C stops everything.", flush=True)
        stack.wait()
    raise typer.Exit(130)


def worker(
    bootstrap_servers: Bootstrap = None,
    prefix: Prefix = None,
    group: Annotated[str | None, typer.Option(help="Consumer group. [default: driftline]")] = None,
    partitions: Partitions = None,
    state_dir: StateDir = None,
    drain_to: Annotated[
        str | None, typer.Option(help="Prefix that takes this one's place: join what is left for it.")
    ] = None,
    accept_dead_letters: Accept = None,
    metrics_port: MetricsPort = None,
    log_level: LogLevel = None,
    log_format: LogFormat = None,
) -> None:
    """Run one worker; start as many as you like.

    The worker joins, counts, judges windows, raises alerts and sends notifications. Without --bootstrap-servers it
    uses the Kafka that runs on this machine. Exit status 78: the set-up is wrong. Exit status 65, with
    dead_letter_stop: too many of the arriving records cannot be read.

    \b
    Examples:
      driftline worker
      driftline worker --accept-dead-letters
      driftline worker --metrics-port 9464 --log-format json
      driftline worker --bootstrap-servers kafka:9092 --state-dir /var/lib/driftline/worker-2
      driftline worker --drain-to driftline-16.
    """
    from app.kafka.errors import TopicError
    from app.processes.ports import PortTaken
    from app.settings.settings import SettingsError
    from app.worker import run_worker

    with _set_up(PortTaken, TopicError, SettingsError):
        settings = settings_of(
            bootstrap_servers=bootstrap_servers, prefix=prefix, group=group, partitions=partitions,
            state_dir=state_dir, drain_to=drain_to, accept_dead_letters=accept_dead_letters,
            metrics_port=metrics_port,
            log_level=log_level, log_format=log_format,
        )  # fmt: skip
        sys.exit(run_worker(settings if settings.bootstrap_servers else connected(settings)))


def recorder(
    bootstrap_servers: Bootstrap = None,
    prefix: Prefix = None,
    group: Annotated[str | None, typer.Option(help="Consumer group of the workers. [default: driftline]")] = None,
    partitions: Partitions = None,
    state_dir: StateDir = None,
    history_url: HistoryUrl = None,
    metrics_port: MetricsPort = None,
    log_level: LogLevel = None,
    log_format: LogFormat = None,
) -> None:
    """Write the history: predictions, truth, reports, alerts, trainings and deployments.

    The recorder reads independently; no other process waits for it. The database is history.db in --state-dir, or the
    database that --history-url names. Exit status 78: the set-up is wrong.

    \b
    Examples:
      driftline recorder
      driftline recorder --history-url postgresql://driftline@db/driftline
      driftline recorder --metrics-port 9465 --log-format json
    """
    from app.history import NewerHistory
    from app.kafka.errors import TopicError
    from app.processes.ports import PortTaken
    from app.recorder import run_recorder
    from app.settings.settings import SettingsError

    with _set_up(PortTaken, TopicError, SettingsError, NewerHistory):
        settings = settings_of(
            bootstrap_servers=bootstrap_servers, prefix=prefix, group=group, partitions=partitions,
            state_dir=state_dir, history_url=history_url, recorder_metrics_port=metrics_port,
            log_level=log_level, log_format=log_format,
        )  # fmt: skip
        sys.exit(run_recorder(settings if settings.bootstrap_servers else connected(settings)))


def api(
    bootstrap_servers: Bootstrap = None,
    prefix: Prefix = None,
    host: Host = None,
    port: Port = None,
    model_path: ModelPath = None,
    state_dir: StateDir = None,
    history_url: HistoryUrl = None,
    metrics_port: MetricsPort = None,
    log_level: LogLevel = None,
    log_format: LogFormat = None,
) -> None:
    """Run the HTTP API and the dashboard.

    If other machines can reach the API, it requires a key (driftline keys create), or does not start.
    Exit status 78: the set-up is wrong.

    \b
    Examples:
      driftline api
      driftline api --host 0.0.0.0 --port 8700 --model-path models/churn
      driftline api --model-path models/churn --model-path models/price
      driftline api --metrics-port 9466
    """
    from api.server import serve
    from app.access import KeyFileError, OpenApi
    from app.processes.ports import PortTaken
    from app.serving import BundleError
    from app.settings.settings import SettingsError

    with _set_up(PortTaken, SettingsError, BundleError, OpenApi, KeyFileError):
        settings = settings_of(
            bootstrap_servers=bootstrap_servers, prefix=prefix, api_host=host, api_port=port,
            model_path=model_path or None, state_dir=state_dir, history_url=history_url, api_metrics_port=metrics_port,
            log_level=log_level, log_format=log_format,
        )  # fmt: skip
        serve(settings)


@contextmanager
def _set_up(*errors: type[Exception]) -> Iterator[None]:
    """Convert setup errors to SetupCommandError, whose exit status prevents another start by a supervisor."""
    try:
        yield
    except errors as error:
        raise SetupCommandError(str(error)) from None
