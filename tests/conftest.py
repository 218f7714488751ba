"""What every test can ask for: a Kafka for the session, and topics, groups and folders of its own."""

from __future__ import annotations

import logging
import os
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from app.history import History
from app.local.find_kafka import Kafka, find_kafka
from app.local.kafka_jar_process import start_from_jars
from app.settings.settings import Settings, load_settings
from app.settings.sources import ENV_PREFIX
from app.telemetry import logs
from tests.support import databases
from tests.support.kafka_container import engine_answers, kafka_in_container
from tests.support.programs import find_java_or_skip

GIVEN_SERVERS = os.environ.get(f"{ENV_PREFIX}BOOTSTRAP_SERVERS") or None

for name in [name for name in os.environ if name.startswith(ENV_PREFIX)]:
    del os.environ[name]  # a developer's own settings are not the tests'

# Threads of OpenMP wait for each other by spinning: on cores that other tests use, a fit of a second takes minutes.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# a slow, shared machine is no failure, and a found example is printed as code that repeats it
hypothesis.settings.register_profile("default", deadline=None, max_examples=100, print_blob=True)
hypothesis.settings.register_profile("quick", deadline=None, max_examples=15, print_blob=True)
hypothesis.settings.register_profile("thorough", deadline=None, max_examples=2000, print_blob=True)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test's folder is its marker."""
    for item in items:
        folder = item.path.relative_to(Path(__file__).parent).parts[0]
        if folder in ("integration", "faults", "browser", "containers"):
            item.add_marker(folder)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Write how many tests were left out, and why."""
    skipped = terminalreporter.stats.get("skipped", [])
    reasons = Counter(one.longrepr[2].removeprefix("Skipped: ") for one in skipped if isinstance(one.longrepr, tuple))
    if reasons:
        terminalreporter.section("left out on this machine", "-")
    for reason, count in sorted(reasons.items()):
        terminalreporter.line(f"{count} test{'s' if count > 1 else ''}: {reason}")


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    """A genuine Kafka: the one that DRIFTLINE_BOOTSTRAP_SERVERS names, else in Docker, else from its jars."""
    with _session_kafka(tmp_path_factory.mktemp("kafka")) as found:
        yield found


def _session_kafka(data_dir: Path) -> Kafka:
    if GIVEN_SERVERS is not None:
        return find_kafka(load_settings(bootstrap_servers=GIVEN_SERVERS))
    if engine_answers():
        return kafka_in_container()
    find_java_or_skip()
    broker = start_from_jars(data_dir)
    return Kafka(broker.bootstrap_servers, "jars", broker.stop)


@pytest.fixture(scope="session")
def java() -> None:
    """A Java for brokers of a test's own, from the jars."""
    find_java_or_skip()


@pytest.fixture
def direct(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy of the machine's between a channel and the test's own servers."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """What a process logs that is set to DEBUG."""
    levels = {name: logging.getLogger(name).level for name in (*logs.NOISY, *logs.TELLTALE)}
    caplog.set_level(logging.DEBUG)
    logs.set_up("DEBUG", "text")
    yield caplog
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


@pytest.fixture
def prefix() -> str:
    """A prefix for topics that no other test has."""
    return f"test-{uuid.uuid4().hex[:10]}."


@pytest.fixture
def settings(kafka: Kafka, prefix: str, tmp_path: Path) -> Settings:
    """Settings of one test: its own topics, group and folders, and short intervals."""
    return load_settings(
        bootstrap_servers=kafka.bootstrap_servers,
        prefix=prefix,
        group=f"{prefix}workers",
        state_dir=tmp_path / "state",
        alerts_dir=tmp_path / "alerts",
        checkpoint_seconds=0.1,
        tick_seconds=0.05,
        reissue_seconds=0.1,
    )


@pytest.fixture(scope="session")
def postgresql() -> Iterator[databases.Server]:
    """A genuine PostgreSQL."""
    with databases.postgresql() as server:
        yield server


@pytest.fixture(scope="session")
def postgresql_history(postgresql: databases.Server) -> Iterator[History]:
    """A history in it."""
    with postgresql.history() as found:
        yield found


@pytest.fixture(params=["sqlite", "postgresql"])
def history(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[History]:
    """An empty history, of each kind."""
    if request.param == "postgresql":
        yield databases.emptied(request.getfixturevalue("postgresql_history"))
        return
    found = History(tmp_path / "history.db")
    found.prepare()
    yield found
    found.close()
