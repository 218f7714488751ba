"""docker-compose.kafka.yml and the Dockerfile: no engine is needed to see that they fit the program."""

from __future__ import annotations

import re
import subprocess
import threading
import tomllib
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.history.setup import history_of
from app.local.kafka_config import LARGEST_MESSAGE
from app.local.kafka_docker import COMPOSE_FILE, DEFAULT_PORT
from app.local.kafka_jars import KAFKA_VERSION
from app.settings.settings import SERVER, Settings, load_settings
from app.settings.sources import CONFIG_FILE, ENV_PREFIX
from tests.support.parse_command import parse
from tests.support.paths import ROOT

COMPOSE = (ROOT / COMPOSE_FILE).read_text()
DOCKERFILE = (ROOT / "Dockerfile").read_text()
THEIRS = {"kafka", "postgres"}
NAMES = {f"{ENV_PREFIX}{name.upper()}" for name in Settings.model_fields}


def services() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(COMPOSE)["services"]
    return found


def ours() -> dict[str, Any]:
    return {name: service for name, service in services().items() if name not in THEIRS}


def kept(value: object) -> str:
    """A value with `${NAME:-default}` as its default."""
    return re.sub(r"\$\{\w+:?-([^}]*)\}", r"\1", str(value))


@pytest.mark.parametrize("text", [COMPOSE, DOCKERFILE], ids=["compose", "Dockerfile"])
def test_every_driftline_variable_is_a_setting(text: str) -> None:
    found = set(re.findall(rf"\b{ENV_PREFIX}[A-Z_]+", text))
    assert found
    assert found <= NAMES


def test_every_service_of_ours_is_a_command_of_driftline() -> None:
    assert set(ours()) == {"worker", "recorder", "api"}
    assert DOCKERFILE.count('ENTRYPOINT ["driftline"]') == 1
    for name, service in ours().items():
        parse(service["command"])
        assert service["depends_on"]["kafka"]["condition"] == "service_healthy", name
        assert service["restart"] == "unless-stopped", name


def test_driftlines_in_comments_are_commands() -> None:
    typed = re.findall(r"`driftline ([a-z ]+)`", COMPOSE)
    assert typed
    for line in typed:
        parse(line.split())


def test_settings_of_every_service_can_be_loaded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert not Path(CONFIG_FILE).exists()
    for name, service in ours().items():
        given = {key.removeprefix(ENV_PREFIX).lower(): kept(value) for key, value in service["environment"].items()}
        settings = load_settings(**given)
        kafka = SERVER.fullmatch(str(settings.bootstrap_servers))
        assert kafka is not None, name
        assert kafka["host"] in services(), name
        listeners = kept(services()["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"])
        assert f"NETWORK://{settings.bootstrap_servers}" in listeners.split(","), name


def test_kafka_is_the_version_of_the_jars_and_takes_our_largest_messages() -> None:
    kafka = services()["kafka"]
    environment = kafka["environment"]
    assert kafka["image"] == f"apache/kafka:{KAFKA_VERSION}"
    assert environment["KAFKA_PROCESS_ROLES"] == "broker,controller"
    assert environment["KAFKA_MESSAGE_MAX_BYTES"] >= LARGEST_MESSAGE
    assert environment["KAFKA_REPLICA_FETCH_MAX_BYTES"] >= LARGEST_MESSAGE
    assert environment["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"


def test_ports_and_health_checks_name_what_listens() -> None:
    kafka, api = services()["kafka"], services()["api"]
    assert [kept(port) for port in kafka["ports"]] == [f"127.0.0.1:{DEFAULT_PORT}:9092"]
    assert "HOST://:9092" in kafka["environment"]["KAFKA_LISTENERS"].split(",")
    assert kafka["healthcheck"]["test"][-1].endswith("/127.0.0.1/9092")
    port = load_settings().api_port
    assert [kept(published) for published in api["ports"]] == [f"127.0.0.1:{port}:{port}"]
    assert api["environment"]["DRIFTLINE_API_HOST"] == "0.0.0.0"
    assert f"/dev/tcp/127.0.0.1/{port} " in api["healthcheck"]["test"][-1]
    assert "GET /health " in api["healthcheck"]["test"][-1]
    assert f"EXPOSE {port}\n" in DOCKERFILE


def test_the_api_reads_the_history_that_the_recorder_writes_and_the_server_is_made_for() -> None:
    def chosen(environment: dict[str, object]) -> dict[str, str]:
        """With a password, as whoever starts it has to give one."""
        return {name: kept(value) or "chosen" for name, value in environment.items()}

    made = chosen(services()["postgres"]["environment"])
    for name in ("recorder", "api"):
        environment = chosen(ours()[name]["environment"])
        given = {key.removeprefix(ENV_PREFIX).lower(): value for key, value in environment.items()}
        url = history_of(load_settings(**given)).engine.url
        assert url.host in services(), name
        assert (url.username, url.password, url.database) == (
            made["POSTGRES_USER"], made["POSTGRES_PASSWORD"], made["POSTGRES_DB"],
        ), name  # fmt: skip
    assert "ports" not in services()["postgres"]
    assert services()["recorder"]["depends_on"]["postgres"]["condition"] == "service_healthy"
    assert {made["POSTGRES_USER"], made["POSTGRES_DB"]} <= set(services()["postgres"]["healthcheck"]["test"])


OBSERVED = (ROOT / "deploy" / "docker-compose.yml").read_text()


@pytest.mark.parametrize("text", [COMPOSE, OBSERVED], ids=["kafka", "observed"])
def test_no_password_is_in_the_file(text: str) -> None:
    """What is not set is empty: PostgreSQL makes no database then, and Grafana has no administrator."""
    found = yaml.safe_load(text)["services"]
    secret = {
        (service, name): kept(value)
        for service, one in found.items()
        for name, value in one.get("environment", {}).items()
        if re.search("PASSWORD|SECRET|TOKEN|KEY", name)
    }
    assert all(value == "" for value in secret.values()), secret
    if "grafana" in found:
        assert found["grafana"]["environment"]["GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION"] == "true"


@pytest.mark.parametrize("text", [COMPOSE, OBSERVED], ids=["kafka", "observed"])
def test_services_take_no_privileges_and_write_to_volumes_alone(text: str) -> None:
    for name, service in yaml.safe_load(text)["services"].items():
        if "extends" in service:  # what it extends is looked at
            assert not {"read_only", "cap_drop", "security_opt", "cap_add", "privileged"} & service.keys(), name
            continue
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert "cap_add" not in service
        assert "privileged" not in service
        assert service.get("read_only", False) == (name != "kafka"), name
        if name == "api":
            assert "api:/var/lib/driftline" in service["volumes"]


def test_every_mounted_volume_is_declared_and_ours_to_write() -> None:
    declared = set(yaml.safe_load(COMPOSE)["volumes"])
    mounted = [volume.split(":") for service in services().values() for volume in service.get("volumes", [])]
    assert {name for name, _ in mounted} == declared
    home = re.search(r"--home-dir (\S+) driftline", DOCKERFILE)
    assert home is not None
    for name, path in mounted:
        assert name in THEIRS or path.startswith(home[1]), name


def test_the_image_has_every_package() -> None:
    copied = set(re.findall(r"^COPY (\w+) \1$", DOCKERFILE, re.MULTILINE))
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"][
        "packages"
    ]
    assert copied == set(packages)
    ignored = (ROOT / ".dockerignore").read_text().split()
    assert {f"!{name}" for name in copied} <= set(ignored)


@pytest.mark.parametrize(("status", "healthy"), [(200, True), (503, False), (0, False)])
def test_the_health_check_asks_and_reads_the_answer(status: int, healthy: bool) -> None:
    class Api(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/health" else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    kind, *command = services()["api"]["healthcheck"]["test"]
    assert kind == "CMD"
    with HTTPServer(("127.0.0.1", 0), Api) as server:
        at = [word.replace("/8700", f"/{server.server_port}").replace("$$", "$") for word in command]
        if not status:
            server.server_close()
            assert subprocess.run(at, capture_output=True, timeout=20, check=False).returncode != 0
            return
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        assert (subprocess.run(at, capture_output=True, timeout=20, check=False).returncode == 0) == healthy
        thread.join()


def test_the_image_runs_as_a_pinned_user_and_group_and_has_its_bytecode() -> None:
    assert "groupadd --system --gid 10001 driftline" in DOCKERFILE
    assert "--uid 10001 --gid 10001" in DOCKERFILE
    assert "USER 10001:10001\n" in DOCKERFILE
    installs = re.findall(r"uv pip install .*", DOCKERFILE)
    assert len(installs) == 2
    assert all("--compile-bytecode" in install for install in installs)
