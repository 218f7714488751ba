"""Two distributions, the client and the server, built and tried where nothing else is installed."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tomllib
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from packaging.requirements import Requirement
from sklearn.dummy import DummyRegressor

from app.serving.bundle import save_bundle
from app.settings.extras import EXTRAS
from app.settings.sources import ENV_PREFIX
from tests.support import installed
from tests.support.client_program import arrivals
from tests.support.namesakes import write_namesakes
from tests.support.paths import DOCS, ROOT

SERVER_PACKAGES = {"agents", "api", "app", "driftline_server", "topics"}


class Wheel(NamedTuple):
    """A built wheel, its files and its metadata."""

    path: Path
    files: set[str]
    about: Message

    @classmethod
    def of(cls, path: Path) -> Wheel:
        with zipfile.ZipFile(path) as opened:
            files = set(opened.namelist())
            (metadata,) = [name for name in files if name.endswith("/METADATA")]
            return cls(path, files, Parser().parsestr(opened.read(metadata).decode()))


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Wheel:
    return Wheel.of(installed.wheel(ROOT / "client", tmp_path_factory.mktemp("client")))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Wheel:
    return Wheel.of(installed.wheel(ROOT, tmp_path_factory.mktemp("server")))


@pytest.fixture(scope="module")
def without_extras(server: Wheel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with the server and what it needs, without an extra."""
    needs = [Requirement(need) for need in server.about.get_all("Requires-Dist", [])]
    python = installed.environment(tmp_path_factory.mktemp("clean"))
    installed.give(python, *(one.name for one in needs if one.marker is None or one.marker.evaluate({"extra": ""})))
    installed.install(python, server.path)
    return python


def sources(*packages: str) -> set[str]:
    """Every file below the packages."""
    files = [path for package in packages for path in (ROOT / package).rglob("*") if path.is_file()]
    return {path.relative_to(ROOT).as_posix() for path in files if "__pycache__" not in path.parts}


@pytest.mark.slow
def test_the_client_is_one_package_that_needs_httpx_alone(client: Wheel) -> None:
    assert client.about["Name"] == "driftline"
    assert client.about.get_all("Requires-Dist") == ["httpx>=0.28"]
    assert {name for name in client.files if ".dist-info/" not in name} == sources("driftline")
    assert not [name for name in client.files if name.endswith("entry_points.txt")]


@pytest.mark.slow
def test_the_server_has_every_file_of_its_packages_and_not_the_client(server: Wheel, client: Wheel) -> None:
    assert server.about["Name"] == "driftline-server"
    assert {name for name in server.files if ".dist-info/" not in name} == sources(*SERVER_PACKAGES)
    assert not {name for name in server.files & client.files if ".dist-info/" not in name}
    assert server.about["Version"] == client.about["Version"]
    assert server.about["Requires-Python"] == client.about["Requires-Python"]
    (of_server,) = [need for need in server.about.get_all("Requires-Dist", []) if need.startswith("httpx")]
    assert of_server == client.about["Requires-Dist"]


ALONE = """
import importlib.util, json, os, sys
from driftline import Client

with Client(os.environ["API"], model="m", model_version="1") as client:
    client.log({"x": 1}, 1, prediction_id="one")
top = {name.partition(".")[0] for name in sys.modules} - sys.stdlib_module_names
others = [name for name in json.loads(sys.argv[1]) if importlib.util.find_spec(name)]
print(json.dumps({"imported": sorted(name for name in top if not name.startswith("_")), "others": others}))
"""


@pytest.mark.slow
def test_the_client_sends_events_where_httpx_is_all_there_is(client: Wheel, tmp_path: Path) -> None:
    python = installed.environment(tmp_path / "clean")
    given = installed.give(python, "httpx")
    assert {"httpx", "httpcore", "h11", "anyio"} <= given
    assert len(given) < 10
    installed.install(python, client.path)
    with arrivals() as api:
        done = subprocess.run(
            [python, "-I", "-c", ALONE, json.dumps([*SERVER_PACKAGES, "numpy", "aiokafka"])], cwd=tmp_path,
            env={**os.environ, "API": api.url}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert api.ids == {"one": 1}
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["others"] == []
    assert {"driftline", "httpx"} <= set(found["imported"])


@pytest.mark.slow
def test_the_server_runs_from_its_wheel_in_a_folder_with_packages_of_its_names(
    without_extras: Path, tmp_path: Path
) -> None:
    python = without_extras
    (tmp_path / "project").mkdir()
    home = write_namesakes(tmp_path / "project")
    env = {**os.environ, "PYTHONPATH": str(home)}

    def run(*command: str) -> str:
        done = subprocess.run(
            [python.with_name(command[0]), *command[1:]], cwd=home, env=env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert run("driftline", "--version") == f"driftline {version}\n"
    where = "import driftline_server, app, api; print(app.__file__, api.__file__, sep='\\n')"
    places = run("python", "-P", "-c", where).split()
    assert all(Path(place).is_relative_to(python.parents[1]) for place in places), places
    document = json.loads(run("driftline", "contract", "openapi"))
    assert document["paths"].keys() == json.loads((DOCS / "openapi.json").read_text())["paths"].keys()


WITHOUT_EXTRAS = """
import contextlib, importlib, io, json, os, pkgutil, sys
from driftline_server import PACKAGES, main

missing = set()
for name in PACKAGES - {"driftline"}:
    for module in pkgutil.walk_packages(importlib.import_module(name).__path__, f"{name}."):
        if module.name != "app.history.migrations.env":  # it runs where Alembic calls it
            try:
                importlib.import_module(module.name)
            except ModuleNotFoundError as error:
                missing.add(error.name)
ended = []
for words, env in json.loads(sys.argv[1]):
    sys.argv = ["driftline", *words]
    os.environ.update(env)
    with contextlib.redirect_stderr(io.StringIO()) as errors:
        try:
            main()
        except SystemExit as status:
            ended.append((status.code, errors.getvalue()))
    for setting in env:
        del os.environ[setting]
print(json.dumps({"missing": sorted(missing), "ended": ended}))
"""
MAIL = {"EMAIL_HOST": "localhost", "EMAIL_FROM": "a@b.example", "EMAIL_TO": "c@d.example"}
WORKER, API = (["worker", "--bootstrap-servers", "127.0.0.1:1"], ["api", "--bootstrap-servers", "127.0.0.1:1"])


@pytest.mark.slow
def test_a_feature_without_its_extra_names_the_extra(without_extras: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    save_bundle(model, DummyRegressor(), {"x": "numeric"}, model="m", model_version="1")
    train = ["train", "--data", "x", "--target", "y", "--output", "z"]
    cases: list[tuple[list[str], dict[str, str], int, str]] = [
        (WORKER, MAIL, 78, "email_host: aiosmtplib is not installed; the extra email has it"),
        (WORKER, {"SLACK_WEBHOOK_URL": "https://localhost/x"}, 78, "slack_webhook_url: slack_sdk is not installed"),
        (WORKER, {"APPRISE_URLS": "json://localhost"}, 78, "apprise_urls: apprise is not installed"),
        (API, {"HISTORY_URL": "postgresql://u@localhost/d"}, 78, "history_url: psycopg is not installed"),
        (API, {"MODEL_PATH": str(model)}, 78, f"{model / 'model.joblib'}: joblib is not installed"),
        (API, {"OTLP_ENDPOINT": "http://localhost:1"}, 78, "otlp_endpoint: opentelemetry.exporter is not installed"),
        (train, {}, 2, "driftline train: sklearn is not installed"),
        (["demo"], {}, 2, "driftline demo: sklearn is not installed"),
    ]
    typed = [(words, {f"{ENV_PREFIX}{name}": value for name, value in env.items()}) for words, env, *_ in cases]
    done = subprocess.run(
        [without_extras, "-P", "-c", WITHOUT_EXTRAS, json.dumps(typed)], cwd=tmp_path, capture_output=True, text=True,
        check=False, env={**os.environ, f"{ENV_PREFIX}STATE_DIR": str(tmp_path / "state")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    missing = {name.partition(".")[0] for name in found["missing"]}
    assert missing == {"aiosmtplib", "apprise", "joblib", "matplotlib", "sklearn", "slack_sdk"}
    assert missing < {module for modules in EXTRAS.values() for module in modules}
    for (*_, status, line), (ended, errors) in zip(cases, found["ended"], strict=True):
        assert ended == status, errors
        assert line in errors
        assert re.search(r'pip install "driftline-server\[\w+\]"\n', errors)
