"""The command line: help, errors, JSON; what needs no Kafka."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pandas as pd
import pytest
import typer
from typer.testing import CliRunner

from app.cli import app
from app.settings.settings import Settings, environment
from tests.support.parse_command import parse, root
from tests.support.run_command import typed


def commands() -> list[list[str]]:
    """Every command as it is typed."""
    found: list[list[str]] = []
    pending: list[tuple[list[str], Any]] = [([], root())]
    while pending:
        path, command = pending.pop()
        children = getattr(command, "commands", None)
        if children:
            pending += [([*path, name], child) for name, child in children.items()]
        if path:
            found.append(path)
    return sorted(found)


def driftline(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command as a process: its exit status is what a shell sees. `typed` is quicker."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("DRIFTLINE_")}
    return subprocess.run(
        [sys.executable, "-m", "app.cli", *arguments],
        capture_output=True, text=True, check=False, timeout=60, env={**clean, **environment},
    )  # fmt: skip


@pytest.fixture
def tables(tmp_path: Path) -> tuple[Path, Path, Path]:
    """A reference, rows of the same kind, and rows that have drifted."""
    rng = np.random.default_rng(1)

    def rows(shift: float) -> pd.DataFrame:
        age = rng.normal(40 + shift, 10, 2000)
        probability = 1 / (1 + np.exp(-(age - 40) / 10))
        actual = (rng.random(2000) < probability).astype(int)
        town = rng.choice(["Oulu", "Turku"], 2000)
        return pd.DataFrame({
            "age": age, "town": town, "prediction": (probability > 0.5).astype(int), "probability": probability,
            "actual": actual,
        })  # fmt: skip

    paths = (tmp_path / "reference.parquet", tmp_path / "same.csv", tmp_path / "shifted.csv")
    rows(0).to_parquet(paths[0])
    rows(0).to_csv(paths[1], index=False)
    rows(30).to_csv(paths[2], index=False)
    return paths


def test_every_command_is_known() -> None:
    assert [" ".join(path) for path in commands()] == [
        "alerts",
        "alerts list",
        "alerts receivers",
        "alerts receivers add",
        "alerts receivers list",
        "alerts receivers remove",
        "alerts receivers test",
        "alerts redeliver",
        "alerts rules",
        "alerts send",
        "alerts silence",
        "alerts silence add",
        "alerts silence expire",
        "alerts silence list",
        "alerts test",
        "api",
        "broker",
        "broker down",
        "broker status",
        "broker up",
        "check",
        "config",
        "config show",
        "contract",
        "contract asyncapi",
        "contract openapi",
        "contract schema",
        "contract write",
        "copy",
        "dead-letters",
        "dead-letters list",
        "dead-letters resend",
        "dead-letters show",
        "demo",
        "deployments",
        "deployments add",
        "forget",
        "history",
        "history alerts",
        "history audit",
        "history deliveries",
        "history deployments",
        "history drift",
        "history export",
        "history performance",
        "history predictions",
        "history training",
        "keys",
        "keys create",
        "keys list",
        "keys revoke",
        "plan",
        "recorder",
        "register",
        "replay",
        "report",
        "reports",
        "retire",
        "retraining",
        "retraining list",
        "sources",
        "sources list",
        "sources try",
        "top",
        "train",
        "training-runs",
        "training-runs add",
        "up",
        "worker",
    ]


def command_of(path: list[str]) -> Any:
    command = root()
    for name in path:
        command = command.commands[name]
    return command


def is_group(path: list[str]) -> bool:
    return bool(getattr(command_of(path), "commands", None))


@pytest.mark.parametrize("path", commands(), ids=" ".join)
def test_the_help_of_every_command_has_an_example_of_it(path: list[str]) -> None:
    command = command_of(path)
    text = command.get_help(typer.Context(command, info_name="driftline"))
    examples = text.partition("Examples:\n")[2].partition("\n\n")[0]
    lines = [shlex.split(line.split("|")[0]) for line in examples.splitlines()]
    assert lines
    for program, *arguments in lines:
        assert [program, *arguments[: len(path)]] == ["driftline", *path]
        parse(arguments)


SERVICES = ("api", "demo", "recorder", "up", "worker")
"""These run until they are stopped; they print how it goes, no data."""


@pytest.mark.parametrize("path", [path for path in commands() if not is_group(path)], ids=" ".join)
def test_every_command_that_prints_data_prints_it_as_json_too(path: list[str]) -> None:
    options = {option for parameter in command_of(path).params for option in parameter.opts}
    assert ("--json" in options) == (" ".join(path) not in SERVICES)


def test_every_option_says_what_it_is_for() -> None:
    silent = [
        f"{' '.join(path)} {parameter.opts[0]}"
        for path in commands()
        for parameter in command_of(path).params
        if not getattr(parameter, "help", None)
    ]
    assert silent == []


def test_help_is_quick_because_nothing_heavy_is_imported() -> None:
    started = time.monotonic()
    code = "import sys, app.cli; print([m for m in ('numpy', 'pandas', 'aiokafka', 'rich') if m in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"
    assert time.monotonic() - started < 5


@pytest.mark.slow
@pytest.mark.parametrize("module", ["api.app", "app.worker.process"])
def test_a_start_imports_nothing_that_most_processes_never_use(module: str) -> None:
    heavy = "('joblib', 'pandas', 'pyarrow', 'scipy.optimize', 'scipy.stats', 'sklearn')"
    code = f"import sys, {module}; print([m for m in {heavy} if m in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


def test_check_says_no_drift_by_exit_status_0(tables: tuple[Path, Path, Path]) -> None:
    reference, same, _ = tables
    status, out, err = typed("check", "--reference", str(reference), "--current", str(same))
    assert status == 0, err
    assert "data: not drifted" in out


@pytest.mark.slow
def test_check_says_drift_by_exit_status_1_and_as_json_and_as_a_file(
    tables: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    reference, _, shifted = tables
    folder = tmp_path / "out"
    answer = driftline(
        "check", "--reference", str(reference), "--current", str(shifted), "--json", "--output", str(folder)
    )
    assert answer.returncode == 1, answer.stderr
    finding = json.loads(answer.stdout)
    assert finding["drift"]["drifted_features"] == ["age"]
    assert finding["performance"]["feedback"] == 2000
    (path,) = (folder / "artifacts" / "drift").iterdir()
    assert re.fullmatch(r"drift_\d{8}T\d{6}\.\d{6}Z\.json", path.name)
    assert json.loads(path.read_bytes()) == finding


def test_a_missing_file_is_a_warning_and_no_decision_and_never_no_drift(
    tables: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    options = ["check", "--reference", str(tables[0]), "--current", str(tmp_path / "none.csv")]
    status, out, err = typed(*options, "--output", str(tmp_path), "--model", "m", "--version", "1")
    assert (status, out) == (2, "no decision\n")
    assert "warning: " in err
    assert "none.csv: no such file, so nothing is decided" in err
    (path,) = (tmp_path / "artifacts" / "drift").iterdir()
    told = json.loads(path.read_bytes())
    assert (told["verdict"], told["drifted"], told["drift"]) == ("no decision", None, None)


def test_what_is_not_judged_is_never_said_to_have_not_drifted(tables: tuple[Path, Path, Path], tmp_path: Path) -> None:
    few, alone = tmp_path / "few.csv", tmp_path / "alone.csv"
    frame = pd.read_parquet(tables[0])
    frame.head(20).to_csv(few, index=False)
    frame[["age", "town"]].to_csv(alone, index=False)
    said = CliRunner().invoke(app, ["check", "--reference", str(tables[0]), "--current", str(few)])
    assert said.exit_code == 2
    assert "20 rows are too few to judge" in said.output
    assert "not drifted" not in said.output
    assert "not degraded" not in said.output
    said = CliRunner().invoke(app, ["check", "--reference", str(tables[0]), "--current", str(alone)])
    assert (said.exit_code, "predictions: none in the table" in said.output) == (0, True)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["check", "--reference", "a.csv", "--current", "b.csv", "--config", "none.json"], "none.json: no such file"),
        (["alerts", "list", "--bootstrap-servers", "nowhere"], "bootstrap_servers: must be host:port"),
        (["reports", "--model", "m", "--bootstrap-servers", "127.0.0.1:1"], "no Kafka answers at 127.0.0.1:1"),
        (["broker", "status", "--bootstrap-servers", "127.0.0.1:1"], "no Kafka answers at 127.0.0.1:1"),
    ],
    ids=["file", "setting", "broker", "status"],
)
def test_trouble_is_one_line_on_standard_error_and_exit_status_2(arguments: list[str], words: str) -> None:
    status, out, err = typed(*arguments)
    assert (status, out) == (2, "")
    (line,) = err.splitlines()
    assert line.startswith("driftline: ")
    assert words in line


def test_a_wrong_table_names_the_file_and_the_column(tables: tuple[Path, Path, Path], tmp_path: Path) -> None:
    broken = tmp_path / "broken.csv"
    broken.write_text("age,town,probability,prediction\n1,Oulu,7,1\n2,Oulu,7,0\n")
    status, _, err = typed("check", "--reference", str(broken), "--current", str(tables[1]))
    assert status == 2
    assert "column 'probability' has values outside 0 to 1" in err


@pytest.mark.slow
def test_a_service_with_a_wrong_setting_tells_its_supervisor_not_to_try_again() -> None:
    answer = driftline("api", DRIFTLINE_API_PORT="99999")
    assert answer.returncode == os.EX_CONFIG
    assert "api_port" in answer.stderr


def test_broker_status_without_a_broker_is_exit_status_1(tmp_path: Path) -> None:
    answer = driftline("broker", "status", "--json", "--state-dir", str(tmp_path), DOCKER_HOST="tcp://127.0.0.1:1")
    assert answer.returncode == 1, answer.stderr
    assert json.loads(answer.stdout)["running"] is False


@pytest.mark.slow
def test_train_says_what_to_type_next_and_it_can_be_typed(tables: tuple[Path, Path, Path], tmp_path: Path) -> None:
    data, folder = tmp_path / "people.csv", tmp_path / "models" / "town"
    people = pd.read_csv(tables[1]).drop(columns=["prediction", "probability"])
    people.assign(turn=[3 * i for i in range(len(people))]).to_csv(data, index=False)
    options = ["train", "--data", str(data), "--target", "actual", "--output", str(folder), "--estimator", "linear"]
    status, out, err = typed(*options, "--version", "1", "--label", "1=Left", "--no-publish")
    assert status == 0, err
    assert "held out" in err
    assert "warning: turn: its whole numbers only rise from row to row" in err
    lines = [line.strip() for line in out.splitlines()]
    next_ones = [line.split()[1:] for line in lines if line.startswith("driftline ")]
    assert [line[0] for line in next_ones] == ["register", "api"]
    for arguments in next_ones:
        parse(arguments)
    metadata = [
        f"--model-metadata={folder}/training_metadata.json",
        f"--feature-metadata={folder}/feature_metadata.json",
    ]
    shown = json.loads(typed("config", "show", *metadata, "--json")[1])
    assert shown["data_drift_monitoring"]["numerical_features"] == ["age", "turn"]
    assert shown["data_drift_monitoring"]["categorical_features"] == ["town"]
    told = json.loads((folder / "training_metadata.json").read_text())
    assert shown["performance_monitoring"]["baseline"] == told["training_metrics"]
    assert [one["column"] for one in told["warnings"] if one["concern"] == "running_id"] == ["turn"]
    own = json.loads(typed("config", "show", *metadata, "--form", "monitoring", "--json")[1])
    assert own["columns"]["numeric"] == ["age", "turn"]
    assert own["baseline"] == told["training_metrics"]
    plain = json.loads(typed("config", "show", "--json")[1])
    assert own.keys() == plain.keys() >= {"columns", "task", "windows", "decision", "drift", "performance", "alerting"}
    status, out, err = typed(*options[:4], "aktual", *options[5:], "--no-publish")
    assert (status, out) == (2, "")
    assert err.startswith("driftline: --target: no column 'aktual' in the table; it has age, town")


def test_the_version_is_that_of_the_distribution() -> None:
    answer = driftline("--version")
    assert (answer.returncode, answer.stdout) == (0, f"driftline {version('driftline-server')}\n")


def test_what_a_worker_accepts_up_accepts_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def options(name: str) -> set[str]:
        return {option for parameter in command_of([name]).params for option in parameter.opts}

    accepting = {option for option in options("worker") if option.startswith("--accept")}
    assert accepting
    assert accepting <= options("up")
    given: list[Settings] = []

    def stack(settings: Settings) -> NoReturn:
        given.append(settings)
        raise KeyboardInterrupt

    monkeypatch.setattr("app.local.stack.Stack", stack)
    for option in accepting:
        assert CliRunner().invoke(app, ["up", option]).exit_code == 130
        assert environment(given[-1])[f"DRIFTLINE_{option.removeprefix('--').replace('-', '_').upper()}"] == "True"
