"""`driftline register`: register a model version with its reference and its monitoring configuration."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

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
    Prefix,
    Separator,
    existing,
    file_options,
    moment_of,
    print_json,
    reached,
)
from app.commands.register.given import GivenFiles, RecordedRows, TopicRows

if TYPE_CHECKING:
    from app.registration.mlflow_model import MlflowModel
    from app.settings.settings import Settings

Reference = Annotated[
    Path | None,
    typer.Option(help="CSV, Parquet or JSONL of rows from when the model was good. [default: as --config says]"),
]
FromTopic = Annotated[
    bool, typer.Option("--from-topic", help="Take the predictions in Kafka as reference, in place of a file.")
]
Last = Annotated[int | None, typer.Option(min=1, max=1_000_000, help="With --from-topic: the newest so many.")]
Learn = Annotated[
    int | None,
    typer.Option(
        min=100, max=100_000, help="Make the reference from the next so many predictions, in place of a file."
    ),
]
FromHistory = Annotated[
    bool, typer.Option("--from-history", help="Take the recorded predictions as reference, in place of a file.")
]
Since = Annotated[str | None, typer.Option(help="Of recorded rows: from then on, as 2026-06-01T00:00:00Z.")]
Until = Annotated[str | None, typer.Option(help="Of recorded rows: until before then.")]
FromVersion = Annotated[
    str | None,
    typer.Option(help="Of recorded rows: the version whose predictions are taken. [default: --version]"),
]
MlflowModelUri = Annotated[
    str | None,
    typer.Option(
        "--mlflow-model",
        metavar="URI",
        help="Logged model of MLflow, as models:/churn/3, or its folder.",
    ),
]
NameOrMlflow = Annotated[str | None, typer.Option("--model", help="The model's name. [default: as MLflow has it]")]
VersionOrMlflow = Annotated[str | None, typer.Option("--version", help="The version. [default: as MLflow has it]")]
Baseline = Annotated[Path | None, typer.Option(help="JSON of metrics that replace those found in the reference.")]


def register(
    model: NameOrMlflow = None,
    version: VersionOrMlflow = None,
    reference: Reference = None,
    config: ConfigFile = None,
    mlflow_model: MlflowModelUri = None,
    from_history: FromHistory = False,
    from_topic: FromTopic = False,
    last: Last = None,
    learn: Learn = None,
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
    profile; of a file that is too large for that the profile is made here. With --mlflow-model the features are the
    inputs of the model's signature, with the kinds of their types.

    \b
    Examples:
      driftline register --model churn --version 3 --reference validation.parquet
      driftline register --model churn --version 3 --reference validation.csv --config monitoring.json
      driftline register --model churn --version 4 --from-history --from-version 3 --since 2026-06-01T00:00:00Z
      driftline register --model churn --version 4 --from-topic --from-version 3 --last 50000
      driftline register --model churn --version 3 --learn 10000
      driftline register --model churn --version 3 --reference validation.parquet --api https://driftline.example.org
      driftline register --mlflow-model models:/churn@champion --reference validation.parquet
    """
    from app.commands.register.in_kafka import register_in_kafka
    from app.commands.register.plan import print_registered
    from app.registration.publish import read_baseline
    from app.registration.setup import read_monitoring

    settings, client = reached(api, api_key, api_key_file, bootstrap_servers, prefix)
    logged = None if mlflow_model is None else _logged(mlflow_model)
    model, version = _named("--model", model, logged), _named("--version", version, logged)
    if learn is not None:
        if reference is not None or from_topic or from_history:
            raise CommandError("--learn: takes the predictions to come; leave --reference and --from-… out")
        if client is not None:
            raise CommandError("--learn: needs access to Kafka; leave --api out")
        _learn(settings, model, version, learn, config, baseline, as_json=json_)
        return
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
        source, None if config is None else (config.name, config.read_bytes()), baseline_path,
        file_options(encoding, separator, decimal), file,
        file.baseline if baseline_path is None else read_baseline(baseline_path),
    )  # fmt: skip
    if logged is not None:
        from app.commands.register.mlflow_columns import with_mlflow

        given = with_mlflow(settings, model, version, given, logged)
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
    print_registered(done, given.file.monitoring)


def _logged(uri: str) -> MlflowModel:
    from app.commands.register.mlflow_uri import find_mlflow_model
    from app.registration.mlflow_model import MlflowError

    try:
        return find_mlflow_model(uri)
    except MlflowError as error:
        raise CommandError(f"--mlflow-model: {error}") from None


def _named(option: Literal["--model", "--version"], given: str | None, logged: MlflowModel | None) -> str:
    """Return the name or version that is given, else MLflow's. Raises CommandError where there is none."""
    if given is not None:
        return given
    if logged is None:
        raise CommandError(f"{option}: missing")
    found = logged.name if option == "--model" else logged.version
    if found is None:
        raise CommandError(f"{option}: missing, and MLflow has none: the model is not registered there, and has no tag")
    return found


def _learn(
    settings: Settings,
    model: str,
    version: str,
    rows: int,
    config: Path | None,
    baseline: Path | None,
    *,
    as_json: bool,
) -> None:
    from app.commands.register.learn import learn_reference

    event = learn_reference(
        settings, model, version, rows, None if config is None else existing(config),
        None if baseline is None else existing(baseline),
    )  # fmt: skip
    if as_json:
        print_json(event)
        return
    print(f"{model} {version} learns: its next {rows:,} predictions become its reference; until then nothing is judged")


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
