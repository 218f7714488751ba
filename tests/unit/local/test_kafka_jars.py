"""Kafka's jars: fetched once, whole or not at all; with a Maven and a Java of the tests' own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from app.kafka.errors import BrokerError
from app.local.kafka_jars import KAFKA_VERSION, find_java, is_whole, kafka_jars

MAIN_JAR = f"kafka_2.13-{KAFKA_VERSION}.jar"
MAVEN = f"""#!/bin/sh
echo run >> "$(dirname "$0")/../runs"
for argument; do case "$argument" in -DoutputDirectory=*) out="${{argument#*=}}";; esac; done
printf main > "$out/{MAIN_JAR}"; printf 'other one' > "$out/other.jar"
"""


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that is the PATH, with the few commands that the scripts use."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("dirname", "sh", "cat"):
        (folder / name).symlink_to(
            next(place / name for place in (Path("/bin"), Path("/usr/bin")) if (place / name).exists())
        )
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    return folder


def script(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def runs(path: Path) -> int:
    return len((path.parent / "runs").read_text().splitlines())


def test_they_are_fetched_once(path: Path, tmp_path: Path) -> None:
    script(path / "mvn", MAVEN)
    told: list[str] = []
    folder = kafka_jars(tmp_path / "cache", tell=told.append)
    assert kafka_jars(tmp_path / "cache", tell=told.append) == folder
    assert (folder / MAIN_JAR).read_text() == "main"
    assert is_whole(folder)
    assert runs(path) == len(told) == 1


@pytest.mark.parametrize("harm", ["truncated", "missing", "marker", "partial"])
def test_a_half_downloaded_folder_is_mended(path: Path, tmp_path: Path, harm: str) -> None:
    script(path / "mvn", MAVEN)
    cache = tmp_path / "cache"
    folder = kafka_jars(cache, tell=lambda _line: None)
    if harm == "truncated":
        (folder / "other.jar").write_text("oth")
    elif harm == "missing":
        (folder / "other.jar").unlink()
    elif harm == "marker":
        (folder / "complete.json").write_text("{")
    else:
        folder.rename(cache / f"{folder.name}.partial-1")
    assert not is_whole(folder)
    assert is_whole(kafka_jars(cache, tell=lambda _line: None))
    assert runs(path) == 2
    assert sorted(entry.name for entry in cache.iterdir()) == [folder.name, f"{folder.name}.lock"]


def test_two_processes_at_once_fetch_once(path: Path, tmp_path: Path) -> None:
    script(path / "mvn", MAVEN)
    code = "import sys, pathlib; from app.local.kafka_jars import kafka_jars; kafka_jars(pathlib.Path(sys.argv[1]))"
    command = [sys.executable, "-c", code, str(tmp_path / "cache")]
    started = [subprocess.Popen(command, stderr=subprocess.DEVNULL) for _ in range(2)]
    assert [process.wait() for process in started] == [0, 0]
    assert runs(path) == 1


def test_a_maven_that_fails_says_why_in_one_line(path: Path, tmp_path: Path) -> None:
    script(path / "mvn", "#!/bin/sh\necho '[ERROR] unknown host central'\necho '[ERROR] more'\nexit 1\n")
    with pytest.raises(BrokerError, match=r"^Maven cannot fetch Apache Kafka: \[ERROR\] unknown host central$"):
        kafka_jars(tmp_path / "cache", tell=lambda _line: None)
    assert not (tmp_path / "cache" / f"kafka-{KAFKA_VERSION}").exists()


def test_no_maven_is_one_clear_line(path: Path, tmp_path: Path) -> None:
    with pytest.raises(BrokerError, match=r"^no Maven .*install Maven"):
        kafka_jars(tmp_path / "cache", tell=lambda _line: None)


def test_no_java_is_one_clear_line(path: Path) -> None:
    with pytest.raises(BrokerError, match=r"^no Java: install Java 17 .* Docker"):
        find_java()


def java(version: str) -> str:
    return f"#!/bin/sh\necho 'Picked up JAVA_TOOL_OPTIONS' >&2\necho 'openjdk version \"{version}\"' >&2\n"


@pytest.mark.parametrize("version", ["17.0.15", "21", "25-ea"])
def test_a_java_that_is_new_enough_is_taken(path: Path, version: str) -> None:
    script(path / "java", java(version))
    assert find_java() == str(path / "java")


@pytest.mark.parametrize(("version", "major"), [("1.8.0_402", 8), ("11.0.2", 11)])
def test_a_java_that_is_too_old_is_one_clear_line(path: Path, version: str, major: int) -> None:
    script(path / "java", java(version))
    with pytest.raises(BrokerError, match=rf"is Java {major}: install 17 or later and set JAVA_HOME"):
        find_java()


def test_java_home_goes_before_the_path(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script(path / "java", java("11.0.2"))
    script(tmp_path / "jdk" / "bin" / "java", java("17.0.1"))
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "jdk"))
    assert find_java() == str(tmp_path / "jdk" / "bin" / "java")
