"""Jars of Apache Kafka, fetched once with Maven, and the Java that runs them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from platformdirs import user_cache_path

from app.kafka.errors import BrokerError
from app.processes.file_lock import file_lock

KAFKA_VERSION = "4.3.0"
LOG4J_VERSION = "2.25.4"
OLDEST_JAVA = 17
MARKER = "complete.json"
MAVEN_SECONDS = 900

POM = f"""\
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>driftline</groupId><artifactId>kafka</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{KAFKA_VERSION}</version>
    </dependency>
    <dependency><!-- Kafka's own distribution adds it too: without it a broker fails without a word -->
      <groupId>org.apache.logging.log4j</groupId><artifactId>log4j-slf4j-impl</artifactId>
      <version>{LOG4J_VERSION}</version>
    </dependency>
  </dependencies>
</project>
"""

Tell = Callable[[str], None]


def tell_on_stderr(line: str) -> None:
    """Print one line of progress on standard error."""
    print(line, file=sys.stderr, flush=True)


def find_java() -> str:
    """Return the path of a Java that runs Kafka: of JAVA_HOME, else of PATH. Raises BrokerError."""
    home = os.environ.get("JAVA_HOME")
    java = shutil.which("java", path=str(Path(home) / "bin")) if home else None
    java = java or shutil.which("java")
    version = _java_version(java) if java else None
    if java is None or version is None:
        raise BrokerError(f"no Java: install Java {OLDEST_JAVA} or later and Maven, or start Docker, {_OR_NAME}")
    if version < OLDEST_JAVA:
        raise BrokerError(
            f"{java} is Java {version}: install {OLDEST_JAVA} or later and set JAVA_HOME to it, {_OR_NAME}"
        )
    return java


_OR_NAME = "or name a Kafka with DRIFTLINE_BOOTSTRAP_SERVERS"


def _java_version(java: str) -> int | None:
    try:
        done = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    found = re.search(r'version "(?:1\.)?(\d+)', done.stderr + done.stdout)
    return int(found[1]) if found else None


def kafka_jars(cache: Path | None = None, *, tell: Tell = tell_on_stderr) -> Path:
    """Return the folder with Kafka's jars. Fetch them where they are absent or incomplete. Raises BrokerError."""
    cache = cache or user_cache_path("driftline")
    folder = cache / f"kafka-{KAFKA_VERSION}"
    if is_whole(folder):
        return folder
    cache.mkdir(parents=True, exist_ok=True)
    with file_lock(cache / f"{folder.name}.lock"):
        if is_whole(folder):  # another process has fetched the jars meanwhile
            return folder
        for rest in cache.glob(f"{folder.name}.partial-*"):
            shutil.rmtree(rest, ignore_errors=True)
        partial = cache / f"{folder.name}.partial-{os.getpid()}"
        tell(f"fetching Apache Kafka {KAFKA_VERSION} with Maven (44 MB, once) ...")
        _fetch(partial)
        if folder.exists():
            shutil.rmtree(folder)
        partial.rename(folder)
    return folder


def is_whole(folder: Path) -> bool:
    """Return whether every jar exists with its downloaded size."""
    try:
        sizes = json.loads((folder / MARKER).read_bytes())
        return bool(sizes) and all((folder / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError, AttributeError):
        return False


def _fetch(folder: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise BrokerError(f"no Maven to fetch Apache Kafka with: install Maven, or start Docker, {_OR_NAME}")
    folder.mkdir()
    (folder / "pom.xml").write_text(POM)
    command = [
        maven, "-q", "-B", "-Dstyle.color=never", "-f", str(folder / "pom.xml"), "dependency:copy-dependencies",
        "-DincludeScope=runtime", f"-DoutputDirectory={folder}",
    ]  # fmt: skip
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=MAVEN_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise BrokerError(f"Maven did not fetch Apache Kafka within {MAVEN_SECONDS} s: is the network slow?") from None
    sizes = {jar.name: jar.stat().st_size for jar in sorted(folder.glob("*.jar"))}
    if done.returncode or f"kafka_2.13-{KAFKA_VERSION}.jar" not in sizes:
        lines = [line for line in (done.stdout + done.stderr).splitlines() if "ERROR" in line]
        raise BrokerError(f"Maven cannot fetch Apache Kafka: {lines[0].strip() if lines else 'it does not say why'}")
    (folder / MARKER).write_text(json.dumps(sizes, indent=1))
