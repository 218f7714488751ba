"""Flags, settings, errors and output that the commands share."""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.telemetry.printable import one_line

if TYPE_CHECKING:
    from app.commands.api_client import ApiClient
    from app.settings.settings import Settings
    from app.tables import FileOptions

TROUBLE = 2
"""Exit status of a command that could not do its work."""

Bootstrap = Annotated[
    str | None, typer.Option("--bootstrap-servers", help="Kafka to use, host:port[,host:port]. Default: find or start.")
]
Prefix = Annotated[str | None, typer.Option(help="Prefix of the topics' names. [default: driftline.]")]
ApiUrl = Annotated[
    str | None, typer.Option("--api", metavar="URL", help="API to use in place of Kafka. [default: api_url, if set]")
]
ApiKey = Annotated[str | None, typer.Option("--api-key", metavar="KEY", help="Key for it; a file hides it better.")]
ApiKeyFile = Annotated[Path | None, typer.Option("--api-key-file", help="File with the key for --api.")]
StateDir = Annotated[
    Path | None, typer.Option(help="The state of workers and a started broker; keys and history, too.")
]
HistoryUrl = Annotated[
    str | None,
    typer.Option(help="sqlite:///FILE or postgresql://USER@HOST/DATABASE. [default: history.db in the state folder]"),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, one object a line.")]
Model = Annotated[str, typer.Option(help="The model's name.")]
Version = Annotated[str, typer.Option(help="The model's version.")]
OnlyModel = Annotated[str | None, typer.Option("--model", help="Only this model.")]
OnlyVersion = Annotated[str | None, typer.Option("--version", help="Only this version.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be sent, and send nothing.")]
Follow = Annotated[bool, typer.Option("--follow", "-f", help="Continue with what comes, until Ctrl-C.")]
Encoding = Annotated[str | None, typer.Option(help="Of CSV files. [default: UTF-8, or UTF-16 by its mark]")]
Separator = Annotated[str | None, typer.Option(help="Of CSV files: one character, or tab. [default: found]")]
DecimalMark = Annotated[str | None, typer.Option("--decimal", help="Of CSV files: . or , [default: found]")]
ConfigFile = Annotated[Path | None, typer.Option("--config", help="monitoring.json: windows, thresholds, rules.")]


def file_options(encoding: str | None, separator: str | None, decimal: str | None) -> FileOptions:
    """Return the options for CSV files from the flags. Raises CommandError that names the flag."""
    from app.tables import FileOptions

    separator = {"tab": "\t", "\\t": "\t"}.get(separator or "", separator)
    if separator is not None and len(separator) != 1:
        raise CommandError(f"--separator: must be one character, or tab, not {separator!r}")
    if decimal not in (None, ".", ","):
        raise CommandError(f"--decimal: must be . or , not {decimal!r}")
    return FileOptions(encoding, separator, decimal)


class CommandError(Exception):
    """Reason why a command cannot do its work: one line that says what to do."""

    status = TROUBLE


class SetupCommandError(CommandError):
    """Setup error of a service: another start would not help, so the supervisor does not start it again."""

    status = os.EX_CONFIG


def settings_of(**flags: object) -> Settings:
    """Return the settings in force. Flags that were not given (None) change nothing. Raises SettingsError."""
    from app.settings.settings import load_settings

    return load_settings(**{name: value for name, value in flags.items() if value is not None})


def connected(settings: Settings) -> Settings:
    """Return the settings with the address of a Kafka that is named or already running.

    Raises CommandError, BrokerError.
    """
    from app.local.find_kafka import running_kafka

    servers = running_kafka(settings)
    if servers is None:
        raise CommandError("no Kafka: set DRIFTLINE_BOOTSTRAP_SERVERS or --bootstrap-servers, or run driftline up")
    return settings.model_copy(update={"bootstrap_servers": servers})


def kafka_settings(bootstrap_servers: str | None, prefix: str | None) -> Settings:
    """Return the settings with two flags and a running Kafka. Raises SettingsError, CommandError, BrokerError."""
    return connected(settings_of(bootstrap_servers=bootstrap_servers, prefix=prefix))


def reached(
    api: str | None,
    api_key: str | None,
    api_key_file: Path | None,
    bootstrap_servers: str | None,
    prefix: str | None,
) -> tuple[Settings, ApiClient | None]:
    """Return the settings, and the API that a command uses; None where it uses Kafka, which then runs.

    --api or the setting `api_url` names the API; a flag of Kafka wins over the setting. Raises CommandError,
    SettingsError, BrokerError.
    """
    kafka = bootstrap_servers is not None or prefix is not None
    if api is not None and kafka:
        raise CommandError("--api: is in place of Kafka; leave out --bootstrap-servers and --prefix")
    if api_key is not None and api_key_file is not None:
        raise CommandError("--api-key: there is --api-key-file too; leave one of them out")
    settings = settings_of(bootstrap_servers=bootstrap_servers, prefix=prefix, api_url=api)
    if kafka or settings.api_url is None:
        if api_key is not None or api_key_file is not None:
            raise CommandError("--api-key: is for --api, which is missing")
        return connected(settings), None
    from app.commands.api_client import ApiClient
    from app.settings.secrets import read_secret, secret_of

    if api_key_file is not None:
        key: str | None = read_secret("--api-key-file", api_key_file)
    else:
        key = secret_of(settings, "api_key") if api_key is None else api_key
    return settings, ApiClient(settings.api_url, key)


def user_name() -> str:
    """Return the name of the user. Raises CommandError."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        raise CommandError("who are you? --author NAME") from None


def actor() -> str:
    """Return the user for the audit: the name, or the user id where this machine has no name for it."""
    try:
        return user_name()
    except CommandError:
        return f"user {os.getuid()}"


def existing(path: Path) -> Path:
    """Return the same path. Raises CommandError where there is no such file."""
    if not path.is_file():
        raise CommandError(f"{path}: no such file")
    return path


def moment_of(name: str, text: str | None) -> datetime | None:
    """Return the moment that a text names, in UTC. A time without a zone is local. Raises CommandError."""
    if text is None:
        return None
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        raise CommandError(f"{name}: {text!r} is no moment; write it as 2026-06-01T12:00:00Z") from None


def metadata_of(given: Sequence[str] | None, option: str = "--metadata") -> dict[str, str]:
    """Return the values given as NAME=VALUE, by name. Raises CommandError."""
    found: dict[str, str] = {}
    for text in given or ():
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise CommandError(f"{option}: must be NAME=VALUE, not {text!r}")
        if name.strip() in found:
            raise CommandError(f"{option}: {name.strip()} is given twice")
        found[name.strip()] = value
    return found


def print_json(value: object) -> None:
    """Print one JSON object on one line of standard output."""
    import msgspec

    sys.stdout.write(msgspec.json.encode(value).decode() + "\n")
    sys.stdout.flush()


def print_table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
    """Print aligned columns of text."""
    lines = [tuple(one_line(cell) for cell in row) for row in (header, *rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def is_terminal() -> bool:
    """Return whether standard output is a terminal, where progress bars and live tables make sense."""
    return sys.stdout.isatty()
