"""`driftline register`: register a model version with its reference and its monitoring configuration."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from app.commands.options import (
    ApiKey,
    ApiKeyFile,
    ApiUrl,
    AsJson,
    Bootstrap,
    CommandError,
    ConfigFile,
    DecimalMark,
    Encoding,
    Model,
    Prefix,
    Separator,
    Version,
    existing,
    file_options,
    moment_of,
    print_json,
    reached,
)
from app.commands.register.given import GivenFiles, RecordedRows, TopicRows

Reference = Annotated[
    Path | None,
    typer.Option(help="CSV, Parquet or JSONL of rows from when the model was good. [default: as --config says]"),
]
FromTopic = Annotated[
    bool, typer.Option("--from-topic", help="Take the predictions in Kafka as reference, in place of a file.")
]
Last = Annotated[int | None, typer.Option(min=1, max=1_000_000, help="With --from-topic: the newest so many.")]
FromHistory = Annotated[
    bool, typer.Option("--from-history", help="Take the recorded predictions as reference, in place of a file.")
]
Since = Annotated[str | None, typer.Option(help="Of recorded rows: from then on, as 2026-06-01T00:00:00Z.")]
Until = Annotated[str | None, typer.Option(help="Of recorded rows: until before then.")]
FromVersion = Annotated[
    str | None,
    typer.Option(help="Of recorded rows: the version whose predictions are taken. [default: --version]"),
]
Baseline = Annotated[Path | None, typer.Option(help="JSON of metrics that replace those found in the reference.")]


def register(
    model: Model,
    version: Version,
    reference: Reference = None,
    config: ConfigFile = None,
    from_history: FromHistory = False,
    from_topic: FromTopic = False,
    last: Last = None,
    since: Since = None,
    until: Until = None,
    from_version: FromVersion = None,
    baseline: Baseline = None,
    encoding: Encoding = None,
    separator: Separator = None,
    decimal: DecimalMark = None,
    json_: AsJson = False,
    api: ApiUrl = None,
    api_key: ApiKey = None,
    api_key_file: ApiKeyFile = None,
    bootstrap_servers: Bootstrap = None,
    prefix: Prefix = None,
) -> None:
    """Register a model version: its reference and its rules.

    Publishes the profile of the reference rows. Registering a version again replaces its registration. --config takes
    monitoring.json, or the output of `driftline config show`. With --api the file is sent to the API, which makes the
    profile; of a file that is too large for that the profile is made here.

    \b
    Examples:
      driftline register --model churn --version 3 --reference validation.parquet
      driftline register --model churn --version 3 --reference validation.csv --config monitoring.json
      driftline register --model churn --version 4 --from-history --from-version 3 --since 2026-06-01T00:00:00Z
      driftline register --model churn --version 4 --from-topic --from-version 3 --last 50000
      driftline register --model churn --version 3 --reference validation.parquet --api https://driftline.example.org
    """
    from app.commands.register.in_kafka import register_in_kafka
    from app.commands.register.plan import print_registered
    from app.registration.publish import read_baseline
    from app.registration.setup import read_monitoring

    settings, client = reached(api, api_key, api_key_file, bootstrap_servers, prefix)
    file = read_monitoring(None if config is None else existing(config))
    recorded = _recorded(from_history, from_topic, reference, last, (since, until), from_version)
    if from_topic and client is not None:
        raise CommandError("--from-topic: reads Kafka, and --api is in place of it; --from-history takes recorded rows")
    path = reference or (Path(file.reference) if file.reference else None)
    source: Path | RecordedRows | TopicRows
    if recorded is not None:
        source = recorded
    elif path is not None:
        source = _existing(path)
    else:
        raise CommandError(
            "--reference: give the file, or name it as data_drift_monitoring.reference_data_path in --config, or take "
            "what was predicted with --from-topic or --from-history"
        )
    baseline_path = None if baseline is None else existing(baseline)
    given = GivenFiles(
        source, config, baseline_path, file_options(encoding, separator, decimal), file,
        file.baseline if baseline_path is None else read_baseline(baseline_path),
    )  # fmt: skip
    if client is None:
        done = register_in_kafka(settings, model, version, given)
    else:
        from app.commands.register.over_http import register_over_http

        with client:
            done = register_over_http(settings, client, model, version, given)
    for note in done.result.notes:
        print(note, file=sys.stderr)
    if json_:
        print_json(done.result)
        return
    print_registered(done, file.monitoring)


def _recorded(
    from_history: bool,
    from_topic: bool,
    reference: Path | None,
    last: int | None,
    span: tuple[str | None, str | None],
    version: str | None,
) -> RecordedRows | TopicRows | None:
    """Return the selection of recorded rows that is the reference; None where a file is. Raises CommandError."""
    if last is not None and not from_topic:
        raise CommandError("--last: is for --from-topic, which is missing")
    if not from_history and not from_topic:
        if version is not None or span != (None, None):
            raise CommandError(
                "--since, --until and --from-version: are for --from-history and --from-topic, which are missing"
            )
        return None
    named = "--from-topic" if from_topic else "--from-history"
    for option, is_given in (("--from-history", from_history and from_topic), ("--reference", reference is not None)):
        if is_given:
            raise CommandError(f"{named}: there is {option} too; leave one of them out")
    since, until = moment_of("--since", span[0]), moment_of("--until", span[1])
    if since is not None and until is not None and since >= until:
        raise CommandError("--until: must be later than --since")
    if from_history:
        return RecordedRows(version, since, until)
    if last is not None and span != (None, None):
        raise CommandError("--last: takes the newest predictions; leave out --since and --until")
    return TopicRows(version, last, since, until)


def _existing(path: Path) -> Path:
    """Return the path of a file or a folder. Raises CommandError."""
    return path if path.is_dir() else existing(path)
